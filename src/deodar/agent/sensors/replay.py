"""Ready-made events from a file instead of the kernel: for demonstrations, tests and benchmarks.

The file is NDJSON, one KEDR event a line. What is read goes on as whole blocks of lines, without a
look at each event. Each block carries the place up to which the file has been read; it is stored
with the packet, so that a restart goes on exactly there. The file may still grow.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from deodar.agent.packets import Header, Place
from deodar.agent.sensors.base import Lost, SensorCounters
from deodar.agent.sensors.errors import SensorUnavailable

if TYPE_CHECKING:
    from pathlib import Path

LOOK_EVERY = 0.1
UNCHANGED_FOR = 1.0
"""Seconds after which an unfinished last line that is whole JSON counts as a line."""
RATE_PERIOD = 0.1


@dataclass(slots=True)
class ReplayBlock:
    """Lines of the file, at most one packet of them."""

    text: bytes
    """NDJSON, every line ended."""
    header: Header


@dataclass(frozen=True)
class ReplayOptions:
    """What to replay, and how."""

    file: Path
    rate: float = 0.0
    """Events per second; 0 for as fast as they are taken."""
    exit_at_end: bool = False
    maximum_events: int = 5000
    maximum_bytes: int = 2 << 20


class ReplaySensor:
    """Reads one file from `place`, if that is a place in this file, else from its start."""

    name = "replay"
    lossless = True
    """It can wait: what cannot be taken now is read later."""

    def __init__(self, options: ReplayOptions, place: Place | None = None) -> None:
        self.tier = f"replay of {options.file}"
        self.advice: list[str] = []
        self.refused: list[tuple[str, str]] = []
        self._woken = threading.Event()
        self._options = options
        self._place = place
        self._descriptor = -1
        self._offset = 0
        self._identity = (0, 0)
        self._skipping = False
        self._received = self._lost = 0
        self._seen_size, self._seen_at = -1, 0.0
        self._started, self._sent = 0.0, 0
        self.finished = False
        """True when the end was reached and nothing more is to come."""

    @property
    def sources(self) -> list[str]:
        """Nothing of this host is watched."""
        return []

    def open(self) -> None:
        """Open the file; raises SensorUnavailable when it cannot be read."""
        try:
            self._descriptor = os.open(self._options.file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            reason = f"cannot read {self._options.file}: {error.strerror}"
            raise SensorUnavailable(reason) from error
        status = os.fstat(self._descriptor)
        self._identity = (status.st_dev, status.st_ino)
        place = self._place
        if place is not None and (place.device, place.inode) == self._identity:
            self._offset = place.offset if place.offset <= status.st_size else 0
        self._started = time.monotonic()

    def read(self, timeout: float) -> list[ReplayBlock | Lost]:
        """Return the next block of lines, [] when there is none within `timeout` seconds."""
        if self._descriptor < 0:
            return []
        if self._options.rate and not self._is_due(timeout):
            return []
        found = self._next()
        if not found and not self.finished:
            self._pause(min(timeout, LOOK_EVERY))
        return found

    def interrupt(self) -> None:
        """Let a `read` that waits, or the next one, return at once."""
        self._woken.set()

    def counters(self) -> SensorCounters:
        """Return events read, and lines that were too long to send."""
        return SensorCounters(received=self._received, lost=self._lost)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _next(self) -> list[ReplayBlock | Lost]:
        data = os.pread(self._descriptor, self._options.maximum_bytes, self._offset)
        end = data.rfind(b"\n") + 1
        if end:
            return self._lines(data[:end])
        if len(data) == self._options.maximum_bytes:
            return self._too_long(len(data))
        return self._at_end(data)

    def _lines(self, text: bytes) -> list[ReplayBlock | Lost]:
        if self._skipping:
            self._skipping = False
            start = text.index(b"\n") + 1
            self._offset += start
            return self._lines(text[start:]) if start < len(text) else []
        lines = text.split(b"\n", self._limit())
        text = text[: len(text) - len(lines.pop())]
        self._offset += len(text)
        filled = [line for line in lines if line.strip()]
        return self._block(text if len(filled) == len(lines) else _joined(filled), filled)

    def _block(self, text: bytes, lines: list[bytes]) -> list[ReplayBlock | Lost]:
        if not lines:
            return []
        self._received += len(lines)
        self._sent += len(lines)
        header = Header(
            events=len(lines),
            first=_time_of(lines[0]),
            last=_time_of(lines[-1]),
            place=Place(str(self._options.file.absolute()), *self._identity, self._offset),
        )
        return [ReplayBlock(text, header)]

    def _too_long(self, length: int) -> list[ReplayBlock | Lost]:
        start, self._offset = self._offset, self._offset + length
        if self._skipping:
            return []
        self._skipping = True
        self._lost += 1
        reason = f"the line at byte {start} of {self._options.file} is too long for a packet"
        return [Lost(time.time_ns(), 1, "sensor", reason)]

    def _at_end(self, rest: bytes) -> list[ReplayBlock | Lost]:
        """Take the last line if it is a whole one though it is not ended; note the end."""
        size = os.fstat(self._descriptor).st_size
        if size < self._offset:  # cut off and written anew
            self._offset = 0
            return []
        if rest and not self._skipping and self._is_whole(rest, size):
            self._offset += len(rest)
            return self._block(_joined([rest]), [rest])
        self.finished = self._options.exit_at_end
        return []

    def _is_whole(self, rest: bytes, size: int) -> bool:
        now = time.monotonic()
        if size != self._seen_size:
            self._seen_size, self._seen_at = size, now
        still = self._options.exit_at_end or now - self._seen_at >= UNCHANGED_FOR
        return still and (self._options.exit_at_end or _is_object(rest)) and bool(rest.strip())

    def _limit(self) -> int:
        limit = self._options.maximum_events
        if self._options.rate:
            limit = min(limit, max(1, int(self._options.rate * RATE_PERIOD)))
        return limit

    def _is_due(self, timeout: float) -> bool:
        due = self._started + self._sent / self._options.rate
        wait = due - time.monotonic()
        if wait > 0:
            self._pause(min(wait, timeout))
        return wait <= timeout

    def _pause(self, seconds: float) -> None:
        if self._woken.wait(seconds):
            self._woken.clear()


def _joined(lines: list[bytes]) -> bytes:
    return b"\n".join(lines) + b"\n"


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _time_of(line: bytes) -> int:
    """Return an event's time in µs since the epoch; now, if it has none."""
    try:
        found = orjson.loads(line)["Timestamp"]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        found = None
    return found if type(found) is int else time.time_ns() // 1000
