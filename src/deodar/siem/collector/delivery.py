"""Getting prepared batches into the core, in order, until each is there.

Only what the core says of a batch's content ends the tries: such a batch is kept whole among the
dead letters, and the stream goes on.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from deodar.columnar.dead_letters import DeadLetter
from deodar.kit.logging import logger
from deodar.siem.connectors.backoff import Backoff
from deodar.siem.destinations.base import STORAGE
from deodar.siem.errors import BatchRejected, CoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.columnar.dead_letters import DeadLetterStore
    from deodar.siem.collector.board import Board
    from deodar.siem.collector.core_client import CoreClient
    from deodar.siem.collector.prepare import Prepared

_BACKOFF = Backoff(first=0.2, longest=5.0)
_log = logger("siem.collector")


class Delivery:
    """Delivers one batch at a time."""

    def __init__(self, core: CoreClient, letters: DeadLetterStore, board: Board) -> None:
        self._core = core
        self._letters = letters
        self._board = board
        self._random = Random()  # noqa: S311 - jitter is no secret

    async def deliver(self, prepared: Prepared) -> None:
        """Have a batch stored and its dead letters kept; returns when both are durable."""
        if prepared.only:  # one destination alone had refused it
            return
        self._board.prepared(prepared)
        await self._keep(prepared.letters, prepared.batch_id)
        if prepared.payload is None:
            return
        account = self._board.ledger.at(prepared.batch_id, STORAGE)
        try:
            rows = await self._until_stored(prepared.batch_id, prepared.payload)
        except BatchRejected as error:
            account.refused = prepared.rows
            await self._put_aside(prepared, str(error))
        else:
            account.delivered = rows
            self._board.stored(rows, prepared.fetched_us)
            _log.debug("stored", batch_id=prepared.batch_id, events=rows)

    async def _until_stored(self, batch_id: str, payload: bytes) -> int:
        failures = 0
        while True:
            try:
                rows = await self._core.store(batch_id, payload)
            except CoreUnavailable as error:
                failures += 1
                self._hindered(str(error), failures)
                delay = _BACKOFF.delay(failures, self._random)
                await asyncio.sleep(max(delay, min(error.retry_after or 0.0, 60.0)))
            else:
                self._board.core_hindrance = ""
                return rows

    def _hindered(self, text: str, failures: int) -> None:
        if failures > 1:  # a single busy answer is nothing to report
            self._board.core_hindrance = f"events cannot be delivered: {text}"
            self._board.error(text)
            _log.warning("delivery waits", reason=text, failures=failures)

    async def _put_aside(self, prepared: Prepared, reason: str) -> None:
        _log.error("a batch is put aside", batch_id=prepared.batch_id, reason=reason)
        self._board.error(reason)
        letter = DeadLetter(reason, "$", 0, prepared.body, prepared.url, framing=prepared.framing)
        await self._keep([letter], prepared.batch_id)
        self._board.counts.dead += prepared.rows - 1

    async def _keep(self, letters: Sequence[DeadLetter], batch_id: str) -> None:
        """Store dead letters, however long the disk refuses: they are all that is left of them."""
        failures = 0
        while letters:
            try:
                self._board.counts.dead += await asyncio.to_thread(
                    self._letters.add, letters, batch_id
                )
            except OSError as error:
                failures += 1
                self._hindered(f"dead letters cannot be written: {error}", failures + 1)
                await asyncio.sleep(_BACKOFF.delay(failures, self._random))
            else:
                return
