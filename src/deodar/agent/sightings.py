"""When each kind of telemetry was last seen on this host, kept over restarts of the agent.

An administrator sees from it whether what should be watched is: a kind that can be seen and never
was is as telling as one that cannot.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.events.kinds import KINDS, Finder
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from deodar.agent.enrich.registry import Line

SAVE_EVERY = 60.0
EVERY_US = 1_000_000
"""µs in which one event of those that are alike is looked at."""
_log = logger("agent.sightings")


class Sightings:
    """Notes the time of the last event of each kind. `note` is for any thread."""

    def __init__(
        self, path: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Go on from what `path` holds; a file that cannot be read counts as empty."""
        self._path = path
        self._clock = clock
        self._finder = Finder(KINDS)
        self._last: dict[int, int] = _read(path) if path is not None else {}
        self._saved: dict[int, int] = dict(self._last)
        self._next = clock() + SAVE_EVERY
        self._looked: dict[tuple[object, ...], int] = {}
        """When an event of each sort was looked at last, µs since the epoch."""

    def note(self, line: Line) -> None:
        """Take note of an event on its way; of very many that are alike, one in a while."""
        own = line.told.own
        mark = (line.event_type, *[own.get(name) for name in self._finder.telling])
        if abs(line.time_us - self._looked.get(mark, -EVERY_US)) < EVERY_US:  # clocks step back too
            return
        self._looked[mark] = line.time_us
        names = {name for one in line.told.fragments for name in one.names}
        known = {name: value for name, value in own.items() if value not in (None, "")}
        identity = {"EventType": line.event_type, "Timestamp": line.time_us}
        self.note_event({**dict.fromkeys(names), **known, **identity})

    def note_event(self, event: Mapping[str, Any]) -> None:
        """Take note of an event."""
        for number in self._finder.of(event):
            self._last[number] = event["Timestamp"]

    def last(self) -> dict[int, int]:
        """Return the time of the last event of each kind that was seen, µs since the epoch."""
        return dict(self._last)

    def save(self, *, now: bool = False) -> None:
        """Write the file when it is due and something is new; at once if `now`."""
        if not now and self._clock() < self._next:
            return
        self._next = self._clock() + SAVE_EVERY
        known = self.last()
        if self._path is None or known == self._saved:
            return
        aside = self._path.with_name(f".{self._path.name}.new")
        try:
            aside.write_bytes(msgspec.json.encode(known))
            aside.chmod(0o600)
            aside.replace(self._path)
        except OSError as error:
            _log.warning("the times of the last events could not be kept", error=str(error))
        else:
            self._saved = known


def _read(path: Path) -> dict[int, int]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[int, int])
    except (OSError, msgspec.DecodeError):
        return {}
