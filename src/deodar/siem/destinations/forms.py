"""Forms in which events leave: a line of text each.

``json`` has the fields of the normalized event model, ``cef`` the Common Event Format, ``ecs`` the
Elastic Common Schema and ``ocsf`` the Open Cybersecurity Schema Framework, both as JSON. What is
empty is left out. Times are ms since the epoch, as in the model, but in ECS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from deodar.siem.destinations import cef, ecs, ocsf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

Form = Literal["json", "cef", "ecs", "ocsf"]
_STORE_ONLY = ("BatchTime",)  # what only the store's partitions need


def _json(event: dict[str, Any]) -> bytes:
    return msgspec.json.encode(event)


def _cef(event: dict[str, Any]) -> bytes:
    return cef.line(event).encode("utf-8", "replace")


def _ecs(event: dict[str, Any]) -> bytes:
    return msgspec.json.encode(ecs.event(event))


def _ocsf(event: dict[str, Any]) -> bytes:
    return msgspec.json.encode(ocsf.event(event))


FORMS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "json": _json,
    "cef": _cef,
    "ecs": _ecs,
    "ocsf": _ocsf,
}


def rows(events: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return each event's fields that have a value, in the order of the columns."""
    kept = [name for name in events.schema.names if name not in _STORE_ONLY]
    columns = [_plain(events.column(name)) for name in kept]
    return [
        {
            name: value
            for name, value in zip(kept, values, strict=True)
            if value is not None and value != "" and value != {} and value != []
        }
        for values in zip(*columns, strict=True)
    ]


def _plain(column: pa.Array) -> list[Any]:
    values = column.to_pylist()
    if str(column.type).startswith("map<"):
        return [dict(value) if value else None for value in values]
    return list(values)


def render(form: Form, events: pa.RecordBatch) -> list[bytes]:
    """Return each event as bytes without a line feed in them."""
    write = FORMS[form]
    return [write(event) for event in rows(events)]


def chunks(
    lines: Sequence[bytes], max_bytes: int, max_lines: int | None = None
) -> Iterator[list[bytes]]:
    """Yield the lines in order, in groups of at most so many bytes (a line end each) and lines.

    A line that is longer by itself is a group of its own. The same lines give the same groups.
    """
    group: list[bytes] = []
    size = 0
    for item in lines:
        full = size + len(item) + 1 > max_bytes or len(group) == (max_lines or len(lines))
        if group and full:
            yield group
            group, size = [], 0
        group.append(item)
        size += len(item) + 1
    if group:
        yield group


def ndjson(lines: Iterable[bytes]) -> bytes:
    """Return lines with a line feed behind each."""
    return b"".join(piece for item in lines for piece in (item, b"\n"))
