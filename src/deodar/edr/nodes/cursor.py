"""The stream's messages in their order, from the oldest that is still there, none left out.

The consumer behind it keeps nothing: it may die with the NATS server that has it, or lose what was
under way over a broken connection. Numbers in the stream rise by one; whenever the next message is
not the one that was expected, or none comes and no sign of life either, another consumer is made
that begins with the expected one.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import FetchTimeoutError

from deodar.edr.errors import LogUnavailable, StreamProblem
from deodar.edr.nodes.blocks import Received
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.js.client import JetStreamContext

    from deodar.edr.nodes.connection import Connection

_WAIT: Final = 2.0
_HEARTBEAT: Final = 0.5
_FORGOTTEN: Final = 30.0
_PAUSE: Final = 0.25
_GIVE_UP: Final = 15.0

log = logger("edr.nodes")


class Cursor:
    """A place in the stream. Used within one event loop."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._consumer: JetStreamContext.PullSubscription | None = None
        self._next = 0
        self._purged = 0
        self._failing_since = 0.0

    async def begin(self) -> int:
        """Go to the oldest message and return its number; raises LogUnavailable."""
        try:
            found = await self._connection.jetstream.stream_info(self._connection.stream)
        except (NatsError, TimeoutError) as error:
            raise _unavailable(error) from error
        self._next = max(1, int(found.state.first_seq))
        self._purged = self._next - 1
        return self._next

    async def fetch(self, most: int) -> list[Received]:
        """Return the next messages, at least one if one comes within two seconds.

        While the stream cannot be reached there is nothing. Raises StreamProblem when messages that
        should be there are not, LogUnavailable when it could not be reached for long: another node
        may be able to.
        """
        try:
            consumer = self._consumer or await self._consume()
            found = await consumer.fetch(most, timeout=_WAIT, heartbeat=_HEARTBEAT)
        except FetchTimeoutError:
            self._failing_since = 0.0
            return []
        except (NatsError, TimeoutError, LogUnavailable) as error:
            await self._fail(error)
            return []
        self._failing_since = 0.0
        received = []
        for message in map(_received, found):
            if message.seq != self._next:
                await self._drop(f"{message.seq} came in place of {self._next}")
                break
            received.append(message)
            self._next += 1
        return received

    async def purge(self, upto: int) -> None:
        """Let the stream forget messages up to a number; what fails is done with the next."""
        if upto <= self._purged:
            return
        try:
            await self._connection.jetstream.purge_stream(self._connection.stream, seq=upto + 1)
            self._purged = upto
        except (NatsError, TimeoutError, LogUnavailable) as error:
            log.warning("stream_not_purged", upto=upto, reason=str(error))

    async def close(self) -> None:
        """Let the consumer go."""
        await self._drop("")

    async def _consume(self) -> JetStreamContext.PullSubscription:
        jetstream, stream = self._connection.jetstream, self._connection.stream
        state = (await jetstream.stream_info(stream)).state
        if not int(state.first_seq) <= self._next <= int(state.last_seq) + 1:
            raise StreamProblem(
                f"message {self._next} is not in the stream {stream}, which has "
                f"{state.first_seq} to {state.last_seq}"
            )
        made = await jetstream.add_consumer(
            stream,
            ConsumerConfig(
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self._next,
                ack_policy=AckPolicy.NONE,
                inactive_threshold=_FORGOTTEN,
                num_replicas=1,
                mem_storage=True,
            ),
        )
        self._consumer = await jetstream.pull_subscribe_bind(consumer=made.name, stream=stream)
        return self._consumer

    async def _fail(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        self._failing_since = self._failing_since or now
        await self._drop(str(error) or type(error).__name__)
        if now - self._failing_since > _GIVE_UP:
            raise _unavailable(error)
        await asyncio.sleep(_PAUSE)

    async def _drop(self, reason: str) -> None:
        consumer, self._consumer = self._consumer, None
        if reason:
            log.info("reads_stream_again", behind=self._next - 1, reason=reason)
        if consumer is None:
            return
        with contextlib.suppress(NatsError, TimeoutError, LogUnavailable):
            await consumer.unsubscribe()
            name = consumer._consumer  # the library has no public name for it
            await self._connection.jetstream.delete_consumer(self._connection.stream, name)


def _received(message: Msg) -> Received:
    told = message.metadata
    return Received(
        told.sequence.stream, told.timestamp.timestamp(), message.headers or {}, message.data
    )


def _unavailable(error: Exception) -> LogUnavailable:
    reason = str(error) or type(error).__name__
    return LogUnavailable(f"the stream between the servers cannot be read: {reason}")
