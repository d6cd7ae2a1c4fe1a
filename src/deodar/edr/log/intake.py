"""The seam between the way in and what makes packets durable: the log itself, or a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from deodar.edr.log.packet import Packet


class Intake(Protocol):
    """Takes packets. Used within one event loop."""

    def was_taken(self, source: str, number: int, first: int = 0) -> bool:
        """Whether a packet is known here to have been taken, without asking anybody.

        For one that begins with another's number, `first`, raises PartlyTaken when that was
        taken, but not the whole.
        """

    async def knows(self, source: str, number: int, first: int = 0) -> bool:
        """Whether a packet was taken, asking others where one put together from several needs it.

        Raises PartlyTaken as `was_taken` does, and LogUnavailable.
        """

    async def append(self, packet: Packet) -> bool:
        """Take a packet; returns when it is durable: True, or False if it was taken before.

        Raises LogUnavailable when it must be sent again, PartlyTaken, PacketRefused.
        """
