"""Which kinds of telemetry are covered on this very host: by what, since when, or why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from deodar.events.kinds import KINDS, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

NOT_STARTED = "Behavior_Detection is not started"
NO_SOURCE = "the sensor in use cannot see it"


class KindCoverage(msgspec.Struct, frozen=True):
    """One kind on this host."""

    number: int
    title: str
    covered: bool
    event_types: list[str]
    by: str = ""
    """The best source that works: a part of the sensor, a watcher, or the agent."""
    why_not: str = ""
    last_seen: int | None = None
    """Time of the last event, µs since the epoch; None when there never was one."""


def coverage(
    sources: Collection[str], refused: Sequence[tuple[str, str]], last: Mapping[int, int]
) -> list[KindCoverage]:
    """Return all kinds, given the sources that work, those that do not and why, and sightings.

    Without any source but the agent itself, nothing is watched.
    """
    return [_of(kind, sources, refused, last) for kind in KINDS]


def _of(
    kind: Kind,
    sources: Collection[str],
    refused: Sequence[tuple[str, str]],
    last: Mapping[int, int],
) -> KindCoverage:
    by = next((source for source in kind.sources if source in sources), "")
    return KindCoverage(
        number=kind.number,
        title=kind.title,
        covered=bool(by),
        event_types=list(kind.types),
        by=by,
        why_not="" if by else _why_not(kind, sources, refused),
        last_seen=last.get(kind.number),
    )


def _why_not(kind: Kind, sources: Collection[str], refused: Sequence[tuple[str, str]]) -> str:
    if not set(sources) - {"agent"}:
        return NOT_STARTED
    wanted = {*kind.sources, *(source.partition("/")[0] for source in kind.sources)}
    reasons = [f"{name}: {reason}" for name, reason in refused if name in wanted]
    return "; ".join(reasons) or NO_SOURCE
