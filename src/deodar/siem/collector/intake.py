"""The connector's sink: answers go into the journal, unusable bodies among the dead letters."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from deodar.columnar.dead_letters import DeadLetter

if TYPE_CHECKING:
    from deodar.columnar.dead_letters import DeadLetterStore
    from deodar.siem.collector.board import Board
    from deodar.siem.collector.desk import Desk
    from deodar.siem.connectors.kata_edr import Deliver, KeepAside
    from deodar.siem.connectors.status import Status


class Intake:
    """Takes what the driver fetched."""

    def __init__(self, desk: Desk, letters: DeadLetterStore, board: Board) -> None:
        self._desk = desk
        self._letters = letters
        self._board = board

    async def deliver(self, command: Deliver, body: bytes) -> None:
        """Put body and token into the journal; returns when they are durable."""
        await self._desk.put(command, body)
        self._board.counts.answers += 1
        self._board.counts.bytes += len(body)

    async def keep_aside(self, command: KeepAside, body: bytes) -> None:
        """Keep a body that cannot be used among the dead letters."""
        digest = hashlib.blake2b(body, digest_size=8).hexdigest()
        letter = DeadLetter(reason=command.reason, path="$", index=0, raw=body, source=command.url)
        try:
            await asyncio.to_thread(self._letters.add, [letter], f"aside-{digest}")
        except OSError as error:  # the server still has it, and is asked for it again
            self._board.error(f"dead letters cannot be written: {error}")
        self._board.counts.aside += 1

    def changed(self, status: Status) -> None:
        """Show the connector's status on the board."""
        self._board.connector = status
        if status.colour != "green":
            self._board.error(status.reason)
