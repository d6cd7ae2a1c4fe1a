"""One endpoint with all that its agent last reported, for ``deodar edr endpoints show``.

The report is shown as it came, whatever is in it: what an agent tells may grow without the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.edr import output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.edr.endpoint import Endpoint

_DEEPEST = 5
_WIDTH = 24


class EndpointPage(msgspec.Struct, frozen=True):
    """An endpoint; its last report, None before the first; the clocks' difference."""

    endpoint: Endpoint
    report: dict[str, Any] | None
    clock_behind_seconds: float | None
    """By how much the host's clock was behind the server's; the request's way is in it."""


def page(endpoint: Endpoint, report: str) -> EndpointPage:
    """Return the page of an endpoint with the JSON of its report, "" if there is none."""
    told: dict[str, Any] | None = msgspec.json.decode(report) if report else None
    sent = (told or {}).get("time_us", 0)
    behind = round((endpoint.synchronized_us - sent) / 1e6, 3) if sent else None
    return EndpointPage(endpoint, told, behind)


def text(shown: EndpointPage) -> str:
    """Return the page for people."""
    endpoint = shown.endpoint
    lines = [_line(name, _value(name, value)) for name, value in _fields(endpoint)]
    if shown.clock_behind_seconds is not None:
        lines.append(_line("clock behind", f"{shown.clock_behind_seconds} s"))
    if shown.report is None:
        return "\n".join([*lines, "", "It has not synchronized yet."])
    for part in ("tasks", "host", "status", "left_out"):
        if shown.report.get(part):
            lines += ["", f"{part}:", *_tree(shown.report[part], 1)]
    return "\n".join(lines)


def _fields(endpoint: Endpoint) -> Iterator[tuple[str, Any]]:
    for name in endpoint.__struct_fields__:
        yield name, getattr(endpoint, name)


def _value(name: str, value: Any) -> str:
    return output.moment(value) if name.endswith("_us") else str(value)


def _line(name: str, value: str) -> str:
    title = name.removesuffix("_us").replace("_", " ")
    return f"{title + ':':<{_WIDTH}}{output.plain(value)}"


def _tree(value: Any, depth: int) -> Iterator[str]:
    """Yield the lines of a value from JSON; what is deeper than a few levels, as JSON."""
    indent = "  " * depth
    if isinstance(value, Mapping) and depth < _DEEPEST:
        for name, inner in value.items():
            yield from _entry(f"{indent}{output.plain(name)}:", inner, depth)
    elif isinstance(value, list) and depth < _DEEPEST and any(map(_is_group, value)):
        for inner in value:
            yield from _entry(f"{indent}-", inner, depth)
    else:
        yield indent + _short(value)


def _entry(label: str, value: Any, depth: int) -> Iterator[str]:
    if _is_group(value) and any(map(_is_group, _inner(value))):
        yield label
        yield from _tree(value, depth + 1)
    else:
        yield f"{label} {_short(value)}"


def _is_group(value: Any) -> bool:
    return isinstance(value, Mapping | list) and bool(value)


def _inner(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, Mapping) else value


def _short(value: Any) -> str:
    """Return a value in one line: flat objects as name=value, everything else as JSON or text."""
    if isinstance(value, Mapping) and not any(map(_is_group, value.values())):
        told = ", ".join(f"{name}={_short(inner)}" for name, inner in value.items())
        return output.plain(told or "-")
    if isinstance(value, str):
        return output.plain(value or "-")
    return output.plain(msgspec.json.encode(value).decode())
