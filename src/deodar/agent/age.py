"""The clock by which unsent events age: it counts the seconds of this agent's life.

While the agent runs it goes by the kernel's clock since boot, which nobody can set and which goes
on while the host sleeps; a step of the wall clock ages nothing. The time in which the agent did not
run counts too: by the same clock when the host was not started anew in between, else by the wall
clock. A wall clock that was put back meanwhile counts as no time at all, and so does a time that
begins before `EARLIEST`: it came from a host that did not know the date.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY = 60.0
"""Seconds between two writes of the file."""
EARLIEST = 1_704_067_200.0
"""2024-01-01: no agent ran before."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_log = logger("agent.age")


class Kept(msgspec.Struct, frozen=True):
    """The content of the file: the same moment on three clocks."""

    age: float
    wall: float
    """Seconds since the epoch."""
    since_boot: float
    boot: str
    """Which start of the host `since_boot` counts from."""


def since_boot() -> float:
    """Return the seconds since the host was started, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Return the kernel's name for this start of the host, "" if it gives none."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


class AgeClock:
    """Seconds of life, persisted. For any thread."""

    def __init__(
        self,
        path: Path | None,
        *,
        running: Callable[[], float] = since_boot,
        wall: Callable[[], float] = time.time,
        boot: str | None = None,
    ) -> None:
        """Go on from the file; without a path each run begins at 0.

        `running` is the clock that nobody can set, `wall` the one of the date; tests give others.
        """
        self._path = path
        self._running, self._wall = running, wall
        self._boot = boot_id() if boot is None else boot
        self._lock = threading.Lock()
        self._from = running()
        self._age = 0.0 if path is None else self._restored(path)
        self._written = self._from if path is not None and path.exists() else self._from - EVERY

    def now(self) -> float:
        """Return the agent's age in seconds. It never goes back while the agent runs."""
        return self._age + max(0.0, self._running() - self._from)

    def at_least(self, age: float) -> None:
        """Go on from `age` if the clock is behind it: its file was lost, and others knew better."""
        with self._lock:
            self._age += max(0.0, age - self.now())

    def save(self, *, now: bool = False) -> None:
        """Write the file, at most once a minute unless `now`; a disk that refuses is borne."""
        if self._path is None or not (now or self._running() - self._written >= EVERY):
            return
        with self._lock:
            self._written = self._running()
            kept = Kept(self.now(), self._wall(), self._written, self._boot)
            aside = self._path.with_name(f".{self._path.name}.new")
            try:
                aside.write_bytes(msgspec.json.encode(kept))
                aside.replace(self._path)
            except OSError as error:
                _log.debug("the age could not be written down", error=str(error))

    def _restored(self, path: Path) -> float:
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=Kept)
        except FileNotFoundError:
            return 0.0
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("the file of the age cannot be read", file=str(path), error=str(error))
            return 0.0
        return kept.age + max(0.0, self._away(kept))

    def _away(self, kept: Kept) -> float:
        """Return the seconds since the file was written."""
        if kept.boot and kept.boot == self._boot:
            return self._from - kept.since_boot
        return self._wall() - kept.wall if kept.wall >= EARLIEST else 0.0
