"""Events of a NATS JetStream stream, by a durable pull consumer, each exactly once.

A message is acknowledged when its events are in the collector's journal. What the stream delivers
again, since the collector was killed before the acknowledgement, is known by its sequence number,
which is kept with the events, and not taken twice.
"""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from deodar.kit.background import interruptible
from deodar.kit.logging import logger
from deodar.siem.connectors.backoff import Backoff
from deodar.siem.connectors.base import (
    LONGEST_EVENT,
    ConnectorSettings,
    EventBytes,
    Handover,
    Kind,
)
from deodar.siem.connectors.framing import FRAMES, Group, pack
from deodar.siem.connectors.restarting import RestartingConnector
from deodar.siem.connectors.sequences import Sequences
from deodar.siem.connectors.status import Status
from deodar.siem.connectors.unpacking import Layout, Unusable, events_of
from deodar.siem.destinations.trust import TlsSettings
from deodar.siem.errors import ConnectorError
from deodar.siem.nats import link_options, link_problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from deodar.siem.connectors.base import Sink

_BACKOFF = Backoff(first=1.0, longest=60.0)
_FETCH_SECONDS = 5.0
_log = logger("siem.connector")


class NatsSettings(
    ConnectorSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="nats-jetstream"
):
    """`urls` such as nats://host:4222 or tls://host:4222 are nodes of one cluster. The consumer
    `durable` of the `stream` is made if it is not there, for all or only for `new` messages, of
    `subject` if that is given. A message is an event, or `lines` of them, unpacked as its header
    Content-Encoding says. What is not acknowledged in `ack_seconds` the stream delivers again.
    """  # noqa: D205

    urls: list[str]
    stream: Annotated[str, msgspec.Meta(pattern=r"^[^\s.*>/\\]+$")]
    durable: Annotated[str, msgspec.Meta(pattern=r"^[^\s.*>/\\]+$")] = "deodar"
    subject: str = ""
    start: Literal["all", "new"] = "all"
    layout: Layout = "message"
    batch: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 256
    ack_seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 60.0
    max_event_bytes: EventBytes = LONGEST_EVENT
    timeout: Annotated[float, msgspec.Meta(ge=1, le=600)] = 30.0
    user: str = ""
    password_file: str = ""
    token_file: str = ""
    tls: TlsSettings = TlsSettings()

    @property
    def largest_record(self) -> int:
        """Bytes of one fetch."""
        return 64 << 20

    def problem(self) -> str:
        """Return "key: what is wrong", or ""."""
        return link_problem(self) or super().problem()


class NatsConnector(RestartingConnector):
    """One durable consumer."""

    def __init__(self, settings: NatsSettings, home: Path, sink: Sink) -> None:
        super().__init__()
        self._settings = settings
        self._options = link_options(settings, home)
        self._sink = sink
        self._random = Random()  # noqa: S311 - jitter is no secret
        self._state: str | None = None
        self._taken = 0
        self._where = f"{settings.urls[0]} stream {settings.stream}"

    async def take(self, state: str | None) -> None:
        """Fetch from `state` on until cancelled; errors of the server are waited out."""
        self._state = state
        failures = 0
        while True:
            try:
                await self._consume()
            except Exception as error:  # noqa: BLE001 - the library has no common class of errors
                failures = 1 if self._taken else failures + 1
                reason = f"{self._where}: {str(error) or type(error).__name__}"
                self._sink.changed(Status("yellow", reason))
                self._sink.count("errors")
                _log.warning("the stream cannot be read", reason=reason, failures=failures)
                await asyncio.sleep(_BACKOFF.delay(failures, self._random))

    async def _consume(self) -> None:
        self._taken = 0
        client = await self._connected()
        try:
            created = str((await client.jetstream().stream_info(self._settings.stream)).created)
            subscription = await self._subscribed(client)
            self._sink.changed(Status("green", f"consuming from {self._where}"))
            while True:
                try:
                    messages = await interruptible(
                        subscription.fetch(self._settings.batch, timeout=_FETCH_SECONDS)
                    )
                except TimeoutError:
                    if not client.is_connected:
                        raise ConnectionError("the connection is lost") from None
                    continue
                await self._hand_over(messages, created)
        finally:
            await client.close()

    async def _connected(self) -> Any:
        import nats  # noqa: PLC0415 - for those who use it

        async with asyncio.timeout(self._settings.timeout):
            return await nats.connect(**self._options)

    async def _subscribed(self, client: Any) -> Any:
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy  # noqa: PLC0415

        wanted = self._settings
        policy = DeliverPolicy.ALL if wanted.start == "all" else DeliverPolicy.NEW
        config = ConsumerConfig(
            durable_name=wanted.durable,
            ack_policy=AckPolicy.EXPLICIT,
            deliver_policy=policy,
            ack_wait=wanted.ack_seconds,
            max_ack_pending=4 * wanted.batch,
            filter_subject=wanted.subject or None,
        )
        return await client.jetstream(timeout=wanted.timeout).pull_subscribe(
            wanted.subject, durable=wanted.durable, stream=wanted.stream, config=config
        )

    async def _hand_over(self, messages: Sequence[Any], created: str) -> None:
        """Make messages durable with their numbers, then acknowledge them.

        The numbers are those of the stream that was `created` then; one made anew begins at 1.
        """
        known = _read(self._state)
        taken = Sequences(known.taken if known.created == created else ())
        groups: list[Group] = []
        for message in messages:
            number = message.metadata.sequence.stream
            if number in taken:
                self._sink.count("repeats")
                continue
            taken.add(number)
            events = await self._events(message)
            if events:
                groups.append(Group(message.subject, time.time_ns() // 1000, events))
        after = msgspec.json.encode(_State(created, taken.ranges)).decode()
        if after != self._state:
            handover = Handover(
                pack(groups),
                FRAMES,
                self._where,
                self._state,
                after,
                has_events=bool(groups),
                encoding=self._settings.character_encoding,
            )
            await asyncio.shield(self._sink.put(handover))
            self._state = after
        for message in messages:
            await message.ack()
        self._taken += 1

    async def _events(self, message: Any) -> list[bytes]:
        wanted = self._settings
        origin = f"{message.subject}@{message.metadata.sequence.stream}"
        try:
            events, long = events_of(
                message.data, message.headers or {}, wanted.layout, wanted.max_event_bytes
            )
        except Unusable as error:
            self._sink.count("unusable")
            await self._sink.keep_aside(origin, str(error), error.body)
            return []
        for beginning in long:
            self._sink.count("too_long")
            reason = f"an event longer than {wanted.max_event_bytes} bytes; this is its beginning"
            await self._sink.keep_aside(origin, reason, beginning)
        return events

    async def check(self) -> str:
        """Connect, and look for the stream."""
        try:
            client = await self._connected()
        except Exception as error:
            raise self._unreachable(error) from error
        try:
            info = await client.jetstream().stream_info(self._settings.stream)
        except Exception as error:
            raise self._unreachable(error) from error
        finally:
            await client.close()
        return f"{self._where}: has {info.state.messages:,} messages"

    def _unreachable(self, error: Exception) -> ConnectorError:
        return ConnectorError(f"{self._where}: {str(error) or type(error).__name__}")


class _State(msgspec.Struct, frozen=True):
    created: str = ""
    taken: list[tuple[int, int]] = []


def _read(state: str | None) -> _State:
    try:
        return msgspec.json.decode(state or "{}", type=_State)
    except msgspec.MsgspecError as error:
        _log.error("the numbers of taken messages are not readable", reason=str(error))
        return _State()


def _facts(settings: NatsSettings, _home: Path) -> Mapping[str, str]:
    return {
        "servers": ", ".join(settings.urls),
        "stream": settings.stream,
        "consumer": settings.durable,
    }


KIND = Kind(
    "nats-jetstream",
    "messages of a NATS stream",
    NatsSettings,
    NatsConnector,
    lambda settings, _home: f"nats:{settings.stream}",
    _facts,
)
