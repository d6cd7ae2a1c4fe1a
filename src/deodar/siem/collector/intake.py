"""The connector's sink: what is handed over goes into the journal, the unusable is kept aside."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from deodar.columnar.dead_letters import DeadLetter

if TYPE_CHECKING:
    from deodar.columnar.dead_letters import DeadLetterStore
    from deodar.siem.collector.board import Board
    from deodar.siem.collector.desk import Desk
    from deodar.siem.connectors.base import Handover
    from deodar.siem.connectors.status import Status


class Intake:
    """Takes what a connector hands over."""

    def __init__(self, desk: Desk, letters: DeadLetterStore, board: Board) -> None:
        self._desk = desk
        self._letters = letters
        self._board = board

    @property
    def hindrance(self) -> str:
        """Why nothing can be put into the journal now, or ""."""
        return self._board.journal_hindrance

    async def put(self, handover: Handover) -> None:
        """Put body and state into the journal; returns when they are durable."""
        await self._desk.put(handover)
        self._board.counts.answers += 1
        self._board.counts.bytes += len(handover.body)

    async def keep_aside(self, origin: str, reason: str, body: bytes, framing: str = "") -> None:
        """Keep a body that cannot be used among the dead letters; without one, what is told."""
        digest = hashlib.blake2b(body or reason.encode(), digest_size=8).hexdigest()
        letter = DeadLetter(reason, "$", 0, body, origin, framing)
        try:
            await asyncio.to_thread(self._letters.add, [letter], f"aside-{digest}")
        except OSError as error:  # a source that keeps state has it still, and is asked again
            self._board.error(f"dead letters cannot be written: {error}")
        self._board.counts.aside += bool(body)

    def changed(self, status: Status) -> None:
        """Show the connector's status on the board."""
        self._board.connector = status
        if status.colour != "green":
            self._board.error(status.reason)

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count of the connector's own."""
        counts = self._board.connector_counts
        counts[what] = counts.get(what, 0) + number
