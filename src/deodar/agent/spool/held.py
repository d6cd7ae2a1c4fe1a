"""Packets that wait in memory, because the disk takes none or has no room yet."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from deodar.agent.packets import Packet
from deodar.agent.spool.thinning import AGED, DISK, STAGE, Level, Thinner

if TYPE_CHECKING:
    from deodar.agent.loss import LossBook
    from deodar.agent.packets import Header


class Held:
    """A queue of packets. Not locked; every packet in it has events."""

    def __init__(self, thinner: Thinner, losses: LossBook) -> None:
        self.packets: deque[Packet] = deque()
        self.bytes = 0
        self._thinner = thinner
        self._losses = losses

    def __len__(self) -> int:
        return len(self.packets)

    @property
    def events(self) -> int:
        """Events in all packets."""
        return sum(packet.header.events for packet in self.packets)

    def add(self, packet: Packet) -> None:
        """Put a packet at the end; one without events is nothing to keep."""
        if packet.header.events:
            self.packets.append(packet)
            self.bytes += len(packet.body)

    def pop(self) -> Packet:
        """Take the oldest packet out."""
        packet = self.packets.popleft()
        self.bytes -= len(packet.body)
        return packet

    def lose_oldest(self, reason: str) -> None:
        """Give the oldest packet up, and count it."""
        lose(self._losses, self.pop().header, reason)

    def expire(self, before: float) -> None:
        """Give up what has waited since before this moment of the age clock."""
        while self.packets and self.packets[0].header.at < before:
            self.lose_oldest(AGED)

    def limit(self, most: int) -> None:
        """Thin until no more than `most` bytes are held, or one packet of high importance."""
        for level in Level:
            keep = 1 if level is Level.HIGH else 0
            self._thin(level, DISK[level], most, keep)

    def thin(self, level: Level, reason: str) -> bool:
        """Take the events up to an importance out of all packets; False if there were none."""
        before = self.events
        self._thin(level, reason, -1, 0)
        return self.events < before

    def _thin(self, level: Level, reason: str, most: int, keep: int) -> None:
        """Thin packets, the oldest first, while more than `most` bytes and `keep` are held."""
        passed: list[Packet] = []
        while self.packets and self.bytes > most and len(self.packets) + len(passed) > keep:
            packet = self.pop()
            header, body = self._thinner.thin(packet.header, packet.body, level)
            gone = packet.header.events - header.events
            if gone:
                lose(self._losses, packet.header, reason, gone)
            if header.events:
                passed.append(Packet(header, body))
                self.bytes += len(body)
        self.packets.extendleft(reversed(passed))


def lose(losses: LossBook, header: Header, reason: str, count: int | None = None) -> None:
    """Count events of a packet as lost; without a count all of them."""
    lost = header.events if count is None else count
    losses.add(lost, STAGE, reason, header.first * 1000, header.last * 1000)
