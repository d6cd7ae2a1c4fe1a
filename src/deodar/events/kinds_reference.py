"""The reference page of the kinds of telemetry, made from kinds.toml and from what tests saw.

What tests saw is collected by ``pytest -m kind --kinds FILE``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.events.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from deodar.events.kinds import Kind

    Seen = Mapping[str, Sequence[Mapping[str, str]]]

_HEAD = """\
# Telemetry

<!-- Made by `make docs` from src/deodar/events/kinds.toml and from what tests saw (make seen). -->

These are the 34 kinds of Linux telemetry by which EDR products are compared in public, with the
weights of that comparison. A kind counts when the default configuration gives a direct, searchable,
explicit event for it; all of these are on by default. `deodar agent coverage` prints the same table
for one host: what covers each kind there, or what keeps it away, and when it was last seen.

The sources are named best first: `bpf/NAME` is a part of the eBPF sensor, `audit` and `proc` are
the sensors that take its place where it cannot be loaded, `watch/NAME` compares the host's state
with what it was. Event types and fields are explained in [events](events.md).
"""


def page(seen: Seen | None = None) -> str:
    """Return the whole page as Markdown; `seen` has what tests saw, by the number of the kind."""
    return "\n".join([_HEAD, *_table(seen or {}), *_tests(seen or {})])


def _table(seen: Seen) -> Iterator[str]:
    tested = sum(kind.weight for kind in KINDS if seen.get(str(kind.number)))
    total = sum(kind.weight for kind in KINDS)
    yield f"Found at the other end by a test: {tested:.1f} of {total:.1f} points.\n"
    yield "| # | Kind | Weight | Event | Fields | Sources | Tested |"
    yield "|---|---|---|---|---|---|---|"
    for kind in KINDS:
        cells = (
            str(kind.number),
            kind.title,
            f"{kind.weight:g}",
            _events(kind),
            ", ".join(f"`{name}`" for name in dict.fromkeys(kind.fields + kind.present)),
            ", ".join(f"`{name}`" for name in kind.sources),
            "yes" if seen.get(str(kind.number)) else "**untested**",
        )
        yield f"| {' | '.join(cells)} |"
    yield ""


def _events(kind: Kind) -> str:
    types = ", ".join(f"`{name}`" for name in kind.types)
    conditions = [
        f"`{name}` {' or '.join(map(str, values))}" for name, values in kind.where.items()
    ]
    return f"{types} with {'; '.join(conditions)}" if conditions else types


def _tests(seen: Seen) -> Iterator[str]:
    yield "## What tests saw\n"
    yield "Each does the thing in at least two ways and finds the events in the SIEM by SQL, unless"
    yield "it says otherwise; and something harmless that looks alike, which gives none.\n"
    yield "| # | Kind | Seen | Test |"
    yield "|---|---|---|---|"
    for kind in KINDS:
        for entry in seen.get(str(kind.number), ()):
            test = entry["test"].rpartition("::")[2]
            file = entry["test"].partition("::")[0]
            yield f"| {kind.number} | {kind.title} | {entry['saw']} | `{file}` {test} |"
    yield ""
