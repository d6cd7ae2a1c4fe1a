"""The spool: packets on disk until the server has confirmed them.

It stands on the journal of deodar.kit. When it is full, the oldest packets go; when the disk takes
none, packets wait in memory, up to a limit. Whatever has to go is counted in the book of losses.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from deodar.agent.packets import Header, Packet, Place, decode_header, encode_header
from deodar.kit.journal import Journal, JournalFull, JournalUnavailable, RecordTooLarge

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.agent.loss import LossBook
    from deodar.agent.settings import SpoolSettings

STAGE = "spool"
FULL = "the spool was full: the oldest events were dropped"
DISK = "the disk took no events, and the memory for them was used up"
TOO_LARGE = "a packet was larger than the whole spool"
DAMAGED = "packets in the spool could not be read any more"


class StoredPacket(NamedTuple):
    """A packet with its number in the spool."""

    number: int
    header: Header
    body: bytes


class SpoolState(NamedTuple):
    """The spool at one moment, for people."""

    packets: int
    events: int
    bytes: int
    held_packets: int
    """Packets that wait in memory because the disk takes none."""
    disk_error: str
    """Why it takes none; "" when it does."""


class Spool:
    """Packets in order. One thread puts, another one takes and acknowledges."""

    def __init__(self, folder: Path, settings: SpoolSettings, losses: LossBook) -> None:
        """Open or make the spool; raises what the journal raises when it cannot be opened."""
        self._settings = settings
        self._losses = losses
        self._journal = Journal(
            folder,
            segment_bytes=settings.segment_bytes,
            max_bytes=settings.maximum_bytes,
            sync=settings.sync,
        )
        self._changed = threading.Condition()
        self._held: deque[Packet] = deque()
        self._held_bytes = 0
        self._disk_error = ""
        last = self._journal.last_header
        self._last = decode_header(last) if last else Header(events=0, first=0, last=0)
        self._gone = self._gone_before_first()

    @property
    def identity(self) -> str:
        """The spool's own name, to the server: packet numbers are unique under it."""
        return self._journal.identity

    @property
    def place(self) -> Place | None:
        """How far the replayed file has come with the last packet that was stored."""
        return self._last.place

    def put(self, packet: Packet) -> None:
        """Store a packet durably; when the disk does not take it, hold it in memory."""
        with self._changed:
            self._hold(packet)
            self._store_held()
            self._changed.notify_all()

    def settle(self) -> None:
        """Try again to store what is held in memory."""
        if self._held:
            with self._changed:
                self._store_held()
                self._changed.notify_all()

    def take(self, after: int, timeout: float) -> StoredPacket | None:
        """Return the first packet with a number above `after`; None if none comes in time (s)."""
        with self._changed:
            packet = self._read(after)
            if packet is None and timeout > 0:
                self._changed.wait(timeout)
                packet = self._read(after)
            return packet

    def acknowledge(self, packet: StoredPacket) -> None:
        """Forget a packet, and all before it: the server has them."""
        header = packet.header
        with self._changed:
            gap = header.total - header.events - self._gone
            self._losses.add(gap, STAGE, DAMAGED, header.first * 1000, header.first * 1000)
            self._gone = max(self._gone, header.total)
            try:
                self._journal.acknowledge(packet.number)
            except JournalUnavailable as error:  # it is acknowledged in memory all the same
                self._disk_error = str(error)

    def wake(self) -> None:
        """Let a `take` that waits return at once."""
        with self._changed:
            self._changed.notify_all()

    def state(self) -> SpoolState:
        """Return what is waiting now."""
        with self._changed:
            held = sum(packet.header.events for packet in self._held)
            return SpoolState(
                packets=len(self._journal) + len(self._held),
                events=self._last.total - self._gone + held,
                bytes=self._journal.bytes_used,
                held_packets=len(self._held),
                disk_error=self._disk_error,
            )

    def close(self) -> None:
        """Close the files; packets that are held in memory only are counted as lost."""
        with self._changed:
            self._store_held()
            self._journal.close()

    def _hold(self, packet: Packet) -> None:
        self._held.append(packet)
        self._held_bytes += len(packet.body)
        while self._held_bytes > self._settings.memory_bytes and len(self._held) > 1:
            self._lose(self._release(), DISK)

    def _release(self) -> Packet:
        packet = self._held.popleft()
        self._held_bytes -= len(packet.body)
        return packet

    def _store_held(self) -> None:
        while self._held:
            packet = self._held[0]
            header = msgspec.structs.replace(
                packet.header,
                total=self._last.total + packet.header.events,
                place=packet.header.place or self._last.place,
            )
            try:
                self._append(header, packet.body)
            except JournalUnavailable as error:
                self._disk_error = str(error)
                return
            except (JournalFull, RecordTooLarge):
                self._lose(packet, TOO_LARGE)
            else:
                self._last = header
            self._disk_error = ""
            self._release()

    def _append(self, header: Header, body: bytes) -> None:
        """Append, dropping the oldest as needed; raises JournalFull when none are left."""
        encoded = encode_header(header)
        while True:
            try:
                self._journal.append(encoded, body)
            except JournalFull:
                if len(self._journal) == 0:
                    raise
                self._drop_oldest()
            else:
                return

    def _drop_oldest(self) -> None:
        oldest = next(self._journal.read(), None)
        self._journal.drop_oldest()
        before, self._gone = self._gone, self._gone_before_first()
        first = decode_header(oldest.header).first if oldest else 0
        self._losses.add(self._gone - before, STAGE, FULL, first * 1000, self._first_time() * 1000)

    def _gone_before_first(self) -> int:
        """Return how many events came before the first packet that is still there."""
        first = next(self._journal.read(), None)
        if first is None:
            return self._last.total
        header = decode_header(first.header)
        return header.total - header.events

    def _first_time(self) -> int:
        first = next(self._journal.read(), None)
        return decode_header(first.header).first if first else self._last.last

    def _lose(self, packet: Packet, reason: str) -> None:
        header = packet.header
        self._losses.add(header.events, STAGE, reason, header.first * 1000, header.last * 1000)

    def _read(self, after: int) -> StoredPacket | None:
        try:
            record = next(self._journal.read(after), None)
        except JournalUnavailable as error:
            self._disk_error = str(error)
            return None
        if record is None:
            return None
        return StoredPacket(record.number, decode_header(record.header), record.body)
