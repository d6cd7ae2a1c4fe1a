"""Bringing prepared records to an add-on destination: filter, tries, what is refused.

A refusal ends the tries; the whole answer is then kept among the dead letters, once, and named by
the destination. Everything else is tried again until it is delivered, or the lane gives it up.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import msgspec

from deodar.columnar.dead_letters import DeadLetter
from deodar.kit.logging import logger
from deodar.siem.connectors.backoff import Backoff
from deodar.siem.destinations.base import Batch
from deodar.siem.errors import DestinationRefused, DestinationUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.columnar.dead_letters import DeadLetterStore
    from deodar.siem.collector.ledger import Ledger
    from deodar.siem.collector.prepare import Prepared
    from deodar.siem.collector.tally import Tally
    from deodar.siem.destinations.base import Destination
    from deodar.siem.destinations.selection import Selection

_BACKOFF = Backoff(first=0.5, longest=30.0)
_LONGEST_WAIT = 600.0
_log = logger("siem.collector")


class Courier:
    """Delivers one record at a time to one destination."""

    def __init__(
        self,
        name: str,
        destination: Destination,
        selection: Selection,
        letters: DeadLetterStore,
        tally: Tally,
        tell: Callable[[str], None],
        ledger: Ledger,
    ) -> None:
        """`tell` is told every error in words; `ledger` has an account for each batch."""
        self._name = name
        self._destination = destination
        self._selection = selection
        self._letters = letters
        self._tally = tally
        self._tell = tell
        self._ledger = ledger
        self._random = Random()  # noqa: S311 - jitter is no secret

    async def deliver(self, prepared: Prepared) -> None:
        """Return when the record's events are delivered, or refused and kept."""
        if prepared.events is None or prepared.only not in ("", self._name):
            return
        account = self._ledger.at(prepared.batch_id, self._name)
        selected = await asyncio.to_thread(self._selection.of, prepared.events)
        if selected.num_rows:
            batch = Batch(prepared.batch_id, selected)
            try:
                size = await self._until_delivered(batch)
            except DestinationRefused as error:
                account.refused = batch.rows if error.rows is None else error.rows
                account.delivered = batch.rows - account.refused
                await self._refused(prepared, batch, error)
            else:
                account.delivered = batch.rows
                self._tally.delivered(batch.rows, size)
                _log.debug(
                    "delivered", destination=self._name, batch_id=batch.id, events=batch.rows
                )
        account.filtered = prepared.rows - selected.num_rows
        self._tally.filtered(account.filtered)

    def gave_up(self, events: int, cause: str) -> None:
        """Count and tell what the lane gave up."""
        limit = {"size": "buffer_bytes", "age": "buffer_seconds"}[cause]
        reason = f"{events} events were given up: the destination is behind by more than {limit}"
        self._tally.lost(events, cause, reason)
        self._tell(f"destination {self._name}: {reason}")
        _log.error("events are given up", destination=self._name, events=events, cause=cause)

    async def _until_delivered(self, batch: Batch) -> int:
        failures = 0
        while True:
            try:
                return await self._try(batch)
            except DestinationUnavailable as error:
                failures += 1
                self._failed(str(error), failures)
                delay = _BACKOFF.delay(failures, self._random)
                await asyncio.sleep(max(delay, min(error.retry_after or 0.0, _LONGEST_WAIT)))

    async def _try(self, batch: Batch) -> int:
        try:
            return await self._destination.deliver(batch)
        except (DestinationRefused, DestinationUnavailable):
            raise
        except Exception as error:
            _log.exception("a destination failed", destination=self._name, batch_id=batch.id)
            name = type(error).__name__
            raise DestinationUnavailable(f"{name}: {error}") from error

    def _failed(self, reason: str, failures: int) -> None:
        self._tally.failed(reason, hinders=failures > 1)  # one busy answer is nothing to report
        if failures > 1:
            self._tell(f"destination {self._name}: {reason}")
            _log.warning("delivery waits", destination=self._name, reason=reason, failures=failures)

    async def _refused(self, prepared: Prepared, batch: Batch, error: DestinationRefused) -> None:
        rows = batch.rows if error.rows is None else error.rows
        reason = f"destination {self._name} refuses {rows} events: {error}"
        self._tell(reason)
        _log.error("events are refused", destination=self._name, batch_id=batch.id, reason=reason)
        if rows < batch.rows:
            self._tally.delivered(batch.rows - rows, 0)
        self._tally.refused(rows, reason)
        letters = [msgspec.structs.replace(one, destination=self._name) for one in error.letters]
        letters = letters or [
            DeadLetter(reason, "$", 0, prepared.body, prepared.url, prepared.framing, self._name)
        ]
        failures = 0
        while True:
            try:
                await asyncio.to_thread(self._letters.add, letters, f"{batch.id}-to-{self._name}")
            except OSError as problem:  # it is all that is left of them
                failures += 1
                self._failed(f"dead letters cannot be written: {problem}", failures + 1)
                await asyncio.sleep(_BACKOFF.delay(failures, self._random))
            else:
                return
