"""What an ingest node does with a packet: into the stream, and back comes the stream's word.

A packet is taken once the stream has acknowledged it, with three replicas when most of them have
it. The writer knows repeats by their numbers, so a packet that is sent twice is in the log once.

One put together from several is asked about first: if some of its events were taken by themselves,
the agent is told to send the rest alone. What is in the stream tells, and else the log. Should one
of them come into the stream between this look and the packet, the stream refuses the packet, since
it is sent as the next one after what was seen, and the look is taken again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nats.errors import Error as NatsError
from nats.js.errors import APIError, NotFoundError

from deodar.edr.errors import ControlDataError, LogFull, LogUnavailable, PartlyTaken
from deodar.edr.log.ledger import Ledger
from deodar.edr.log.view import Counters
from deodar.edr.nodes import blocks
from deodar.kit.logging import logger
from deodar.store.errors import StoreError

if TYPE_CHECKING:
    from nats.js.api import PubAck

    from deodar.edr.log.packet import Packet
    from deodar.edr.nodes.blocks import Message
    from deodar.edr.nodes.connection import Connection
    from deodar.edr.nodes.position import Positions
    from deodar.store.engine import Engine

_EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"
_WRONG_LAST: Final = frozenset({10071, 10164})
_FULL: Final = frozenset({10023, 10047, 10077})
"""JetStream's codes for a stream, or its servers, without room."""
_ONE_TRY: Final = 2.0
_PAUSE: Final = 0.1
_LOOKS: Final = 5

log = logger("edr.nodes")


class _Overtaken(Exception):  # noqa: N818
    """Another packet of the source has come into the stream meanwhile."""


class Publisher:
    """Takes packets into the stream. Used within one event loop."""

    def __init__(self, connection: Connection, positions: Positions, engine: Engine) -> None:
        self._connection = connection
        self._known = _Known(positions, engine)
        self.counters = Counters()
        self.repeats = self.refused = 0
        """Packets that the stream knew already, and those that it had no room for."""

    def was_taken(self, source: str, number: int, first: int = 0) -> bool:
        """Whether a packet is known to have been taken: nothing is, without asking."""
        return False

    async def knows(self, source: str, number: int, first: int = 0) -> bool:
        """Whether a packet that was put together from several is in the stream or the log.

        Others are not asked about, since the writer knows them again. Raises PartlyTaken,
        LogUnavailable.
        """
        if not 0 < first < number:
            return False
        return await self._look(source, number, first) is None

    async def append(self, packet: Packet) -> bool:
        """Take a packet; returns when the stream has it: True, or False if it had it before.

        Raises LogUnavailable when it must be sent again, and PartlyTaken.
        """
        room = self._connection.client.max_payload
        parts = await asyncio.to_thread(blocks.messages, packet, room)
        for part in parts[:-1]:
            await self._publish("part", packet.source, part)
        is_new = await self._decide(packet, parts[-1])
        if is_new:
            before = self.counters
            self.counters = Counters(before.events + packet.events, before.packets + 1)
        else:
            self.repeats += 1
        return is_new

    async def _decide(self, packet: Packet, last: Message) -> bool:
        """Send the message that puts a packet into its place."""
        if not 0 < packet.first < packet.number:
            return not (await self._publish("packet", packet.source, last)).duplicate
        for _ in range(_LOOKS):
            seen = await self._look(packet.source, packet.number, packet.first)
            if seen is None:
                return False
            try:
                ack = await self._publish("packet", packet.source, last, after=seen)
            except _Overtaken:
                continue
            return not ack.duplicate
        raise LogUnavailable("others send packets of the same source")

    async def _look(self, source: str, number: int, first: int) -> int | None:
        """Return the stream's last message of a source (0 for none), None if it has the packet.

        Raises PartlyTaken, LogUnavailable.
        """
        # The stream first: what has left it meanwhile is in the log by then.
        seq, taken = await self._last(source)
        taken = max(taken, await self._known.number(source))
        if taken >= number:
            return None
        if taken >= first:
            raise PartlyTaken(first, number, taken)
        return seq

    async def _last(self, source: str) -> tuple[int, int]:
        subject = self._connection.subject("packet", blocks.key(source))
        try:
            found = await self._connection.jetstream.get_msg(
                self._connection.stream, subject=subject
            )
        except NotFoundError:
            return 0, 0
        except (NatsError, TimeoutError) as error:
            raise self._unavailable(error) from error
        return int(found.seq or 0), blocks.origin(found.headers or {})[1]

    async def _publish(
        self, kind: str, source: str, message: Message, after: int | None = None
    ) -> PubAck:
        """Send a message, again and again within the settings' time; raises LogUnavailable."""
        subject = self._connection.subject(kind, blocks.key(source))
        headers = dict(message.headers)
        if after is not None:
            headers[_EXPECTED] = str(after)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._connection.settings.timeout
        while True:
            left = deadline - loop.time()
            try:
                return await self._connection.jetstream.publish(
                    subject, message.data, timeout=max(0.1, min(left, _ONE_TRY)), headers=headers
                )
            except APIError as error:
                self._refuse(error)
                problem: Exception = error
            except (NatsError, TimeoutError, LogUnavailable) as error:
                problem = error
            if loop.time() + _PAUSE >= deadline:
                raise self._unavailable(problem) from problem
            await asyncio.sleep(_PAUSE)

    def _refuse(self, error: APIError) -> None:
        """Raise what an answer of the stream means, unless it may be another one soon."""
        if error.err_code in _WRONG_LAST:
            raise _Overtaken
        if error.err_code in _FULL:
            self.refused += 1
            raise LogFull(f"the stream between the servers is full: {error.description}")

    def _unavailable(self, error: Exception) -> LogUnavailable:
        reason = str(error) or type(error).__name__
        log.warning("stream_takes_nothing", reason=reason)
        return LogUnavailable(f"the stream between the servers takes nothing: {reason}")


class _Known:
    """What is in the log already, read again as far as there is more, for all who ask at once."""

    def __init__(self, positions: Positions, engine: Engine) -> None:
        self._positions = positions
        self._ledger = Ledger(engine)
        self._turn = asyncio.Lock()
        self._asked = self._served = 0

    async def number(self, source: str) -> int:
        """Return the highest number of a source that is in the log now, 0 for none.

        Raises LogUnavailable.
        """
        self._asked += 1
        mine = self._asked
        async with self._turn:
            if self._served < mine:
                serving = self._asked
                try:
                    await asyncio.to_thread(self._read)
                except (StoreError, ControlDataError) as error:
                    raise LogUnavailable(f"the event log cannot be read: {error}") from error
                self._served = serving
        return self._ledger.taken.get(source, 0)

    def _read(self) -> None:
        position = self._positions.read()
        self._ledger.read(position.seq, position.voids)
