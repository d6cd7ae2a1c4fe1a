"""The shared log as every node sees it, also the one that writes it.

How far it is committed is told by the writer over NATS as soon as it is; that may get lost, so the
database is asked each second, too, and whenever another term has begun.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

import msgspec

from deodar.edr.errors import ControlDataError, NotWriter
from deodar.edr.log.view import View
from deodar.kit.background import background, occurs
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from deodar.edr.log.lineage import Lineage
    from deodar.edr.nodes.connection import Connection
    from deodar.edr.nodes.position import Position, Positions
    from deodar.edr.nodes.publisher import Publisher
    from deodar.store.engine import Engine

LOOK_EVERY: Final = 1.0
SUBJECT: Final = "position"
_SETTLED: Final = 3 * LOOK_EVERY
"""Seconds after which every node that serves readers has seen the database."""

log = logger("edr.nodes")


class Told(msgspec.Struct, frozen=True, array_like=True):
    """What the writer tells: the log is committed up to `seq` in a term."""

    term: int
    seq: int


class FollowedLog(View):
    """The log that some node writes. All methods belong to one event loop, but `give_up`."""

    def __init__(
        self, engine: Engine, lineage: Lineage, positions: Positions, publisher: Publisher
    ) -> None:
        super().__init__(engine, lineage, (0, 0))
        self._positions = positions
        self._publisher = publisher
        self._connection: Connection | None = None
        self._look_now = asyncio.Event()
        self.position = positions.read()
        self.writes = 0
        """The term in which this node writes, 0 when another one does."""
        self.see(self.position)
        first = self.reader.first_seq()
        self._floor = max(self._floor, self.voids.before(max(0, first - 1)))

    @property
    def failure(self) -> str | None:
        """Why packets are refused at present, or None."""
        return (self._connection.problem if self._connection else "") or None

    @property
    def may_drop(self) -> bool:
        """Whether it is this node that has to drop what is too old."""
        return self.writes > 0

    def see(self, position: Position) -> None:
        """Take in how far the log is committed."""
        self.position = position
        self.voids = position.voids
        self._floor = max(self._floor, position.floor)
        self.counters = self._publisher.counters
        self.watermark.advance(position.seq)

    def give_up(self, seq: int) -> None:
        """Let no reader of any node begin before a number any more; for a thread.

        Returns when all nodes have seen it. Raises NotWriter, ControlDataError.
        """
        if not self.writes:
            raise NotWriter("another server drops old events now")
        self._positions.give_up(self.writes, seq)
        super().give_up(seq)
        time.sleep(_SETTLED)

    @contextlib.asynccontextmanager
    async def followed(
        self, connection: Connection, stop: asyncio.Event | None = None
    ) -> AsyncIterator[None]:
        """Follow the writer while this lasts; `stop` is set should that end by itself."""
        self._connection = connection
        async with background(self._follow(), "followed log", stop):
            yield

    async def hear(self, data: bytes) -> None:
        """Take in what the writer tells."""
        try:
            told = msgspec.msgpack.decode(data, type=Told)
        except msgspec.DecodeError:
            return
        self.counters = self._publisher.counters
        if told.term == self.position.term:
            self.watermark.advance(told.seq)
        elif told.term > self.position.term:
            self._look_now.set()

    async def look(self) -> None:
        """Ask the database."""
        try:
            self.see(await asyncio.to_thread(self._positions.read))
        except ControlDataError as error:
            log.warning("position_not_known", reason=str(error))

    async def _follow(self) -> None:
        while True:
            self._look_now.clear()
            await occurs(self._look_now, LOOK_EVERY)
            await self.look()


def told(term: int, seq: int) -> bytes:
    """Return what the writer tells the others."""
    return msgspec.msgpack.encode(Told(term, seq))
