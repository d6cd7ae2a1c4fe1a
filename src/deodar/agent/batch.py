"""Lines on their way into one packet: what the pipeline collects until it is enough or time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from deodar.agent.packets import Packer

if TYPE_CHECKING:
    from deodar.agent.packets import Packet
    from deodar.agent.settings import TransferSettings
    from deodar.events.importance import Importance

PACKET_BYTES = 2 << 20
NEVER = float("inf")


class Batch:
    """Events as lines of JSON, with what their packet's header says. Used by one thread."""

    def __init__(self, limits: TransferSettings) -> None:
        self._packer = Packer()
        self._most_events = min(limits.enough_events, limits.maximum_events)
        self._most_bytes = min(limits.maximum_bytes, PACKET_BYTES)
        self._clear()

    def __len__(self) -> int:
        return len(self._lines)

    def has_room(self, line: bytes) -> bool:
        """Whether one more line still fits."""
        if not self._lines:
            return True
        return len(self._lines) < self._most_events and self._bytes + len(line) < self._most_bytes

    def add(
        self,
        line: bytes,
        time_us: int,
        importance: Importance,
        delay: float,
        report: str = "",
    ) -> None:
        """Add an event that may wait `delay` seconds; `report` is the id of a loss it tells of."""
        if importance == "high":
            self.due = 0.0
        elif not self._lines:
            self.due = time.monotonic() + delay
        if not self._lines:
            self._first = self._last = time_us
        self._first, self._last = min(self._first, time_us), max(self._last, time_us)
        self._lines.append(line)
        self._bytes += len(line) + 1
        self._counts[importance] += 1
        if report:
            self._reports.append(report)

    def take(self) -> Packet:
        """Return what was collected as a packet, and begin anew."""
        counts = (self._counts["low"], self._counts["medium"], self._counts["high"])
        packet = self._packer.pack(self._lines, self._first, self._last, counts, self._reports)
        self._clear()
        return packet

    def _clear(self) -> None:
        self._lines: list[bytes] = []
        self._bytes = self._first = self._last = 0
        self._counts = {"low": 0, "medium": 0, "high": 0}
        self._reports: list[str] = []
        self.due = NEVER
        """When it has to be stored, by the monotonic clock."""
