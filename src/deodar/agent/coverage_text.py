"""The coverage of a host for people: a table of the kinds of telemetry, what is missing marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.status_text import duration, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deodar.agent.coverage import KindCoverage

_HEAD = ("#", "kind", "seen by", "last seen", "events")


def render(kinds: Sequence[KindCoverage], now: float) -> str:
    """Return the table and a line that counts; `now` is in seconds since the epoch."""
    rows = [_HEAD, *(_row(kind, now) for kind in kinds)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEAD) - 1)]
    lines = ["  ".join([*map(str.ljust, row, widths), row[-1]]).rstrip() for row in rows]
    covered = sum(kind.covered for kind in kinds)
    return "\n".join([*lines, "", *_reasons(kinds), f"{covered} of {len(kinds)} kinds are covered"])


def _row(kind: KindCoverage, now: float) -> tuple[str, ...]:
    seen = "never" if kind.last_seen is None else f"{duration(now - kind.last_seen / 1e6)} ago"
    by = kind.by if kind.covered else "! not covered"
    return str(kind.number), kind.title, by, seen, ", ".join(kind.event_types)


def _reasons(kinds: Sequence[KindCoverage]) -> Iterator[str]:
    """Yield each reason once, with the numbers of the kinds that it keeps away."""
    numbers: dict[str, list[int]] = {}
    for kind in kinds:
        if not kind.covered:
            numbers.setdefault(kind.why_not, []).append(kind.number)
    for reason, found in numbers.items():
        yield f"! {', '.join(map(str, found))}: {plain(reason)}"
