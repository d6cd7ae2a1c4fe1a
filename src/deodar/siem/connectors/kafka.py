"""Events of Kafka topics, each exactly once.

The offsets are kept with the events in the collector's journal, and committed to the group after
that, for others to see how far this collector is. A partition is read from the further one of the
two; one that neither knows, from `start`. A new or reset collector begins at `start` whatever the
group has committed. When the journal is full nothing more is fetched.
"""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

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
from deodar.siem.connectors.status import Status
from deodar.siem.connectors.unpacking import Layout, Unusable, events_of
from deodar.siem.destinations.trust import TlsSettings
from deodar.siem.errors import ConnectorError
from deodar.siem.kafka import Sasl, Security, link_options, link_problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deodar.siem.connectors.base import Sink

Offsets = dict[str, dict[str, int]]
"""By topic and partition: the offset of the next record to be taken."""

_BACKOFF = Backoff(first=1.0, longest=60.0)
_FETCH_BYTES = 4 << 20
_WAIT_MS = 1000
_log = logger("siem.connector")


class KafkaSettings(
    ConnectorSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="kafka"
):
    """`brokers` are host:port. Each collector of a `group` takes some of the partitions. A message
    is an event, or `lines` of them; a header Content-Encoding of gzip or zstd is heeded.
    `password_file` holds the password of `user` for SASL.
    """  # noqa: D205

    brokers: list[str]
    topics: list[str]
    group: Annotated[str, msgspec.Meta(min_length=1, max_length=249)] = "deodar"
    start: Literal["earliest", "latest"] = "earliest"
    isolation: Literal["read_committed", "read_uncommitted"] = "read_committed"
    layout: Layout = "message"
    max_event_bytes: EventBytes = LONGEST_EVENT
    max_records: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 5000
    timeout: Annotated[float, msgspec.Meta(ge=1, le=600)] = 40.0
    security: Security = "plaintext"
    sasl: Sasl = "none"
    user: str = ""
    password_file: str = ""
    tls: TlsSettings = TlsSettings()

    @property
    def largest_record(self) -> int:
        """Bytes of one fetch."""
        return 16 << 20

    def problem(self) -> str:
        """Return "key: what is wrong", or ""."""
        if not self.topics:
            return "topics: give at least one"
        return link_problem(self) or super().problem()


class KafkaConnector(RestartingConnector):
    """One member of a consumer group."""

    def __init__(self, settings: KafkaSettings, home: Path, sink: Sink) -> None:
        super().__init__()
        self._settings = settings
        self._options = link_options(settings, home)
        self._sink = sink
        self._random = Random()  # noqa: S311 - jitter is no secret
        self._state: str | None = None
        self._where = f"kafka://{','.join(settings.brokers)}"

    async def take(self, state: str | None) -> None:
        """Consume from `state` on until cancelled; errors of the cluster are waited out."""
        from aiokafka.errors import KafkaError  # noqa: PLC0415 - for those who use it

        self._state = state
        failures = 0
        while True:
            try:
                await self._consume()
            except (KafkaError, OSError, TimeoutError) as error:
                failures = failures + 1 if self._taken == 0 else 1
                reason = f"{self._where}: {str(error) or type(error).__name__}"
                self._sink.changed(Status("yellow", reason))
                self._sink.count("errors")
                _log.warning("the cluster cannot be read", reason=reason, failures=failures)
                await asyncio.sleep(_BACKOFF.delay(failures, self._random))

    async def _consume(self) -> None:
        self._taken = 0
        consumer = self._consumer()
        try:
            async with asyncio.timeout(self._settings.timeout):
                await consumer.start()
            listener = _Listener(consumer, self)
            consumer.subscribe(self._settings.topics, listener=listener.made())
            self._sink.changed(Status("green", f"consuming from {self._where}"))
            while True:
                found = await consumer.getmany(
                    timeout_ms=_WAIT_MS, max_records=self._settings.max_records
                )
                if found:
                    await self._hand_over(consumer, found)
        finally:
            async with asyncio.timeout(self._settings.timeout):
                await consumer.stop()

    def _consumer(self) -> Any:
        import aiokafka  # noqa: PLC0415 - for those who use it

        wanted = self._settings
        return aiokafka.AIOKafkaConsumer(
            group_id=wanted.group,
            client_id="deodar",
            enable_auto_commit=False,
            auto_offset_reset=wanted.start,
            isolation_level=wanted.isolation,
            fetch_max_bytes=_FETCH_BYTES,
            max_partition_fetch_bytes=max(1 << 20, wanted.max_event_bytes + 4096),
            request_timeout_ms=int(wanted.timeout * 1000),
            **self._options,
        )

    async def _hand_over(self, consumer: Any, found: Mapping[Any, list[Any]]) -> None:
        """Make records durable with the offsets behind them, then commit those."""
        offsets = self.offsets()
        groups: list[Group] = []
        for partition, records in found.items():
            source = f"{partition.topic}/{partition.partition}"
            known, number = offsets.setdefault(partition.topic, {}), str(partition.partition)
            self._compare(source, known.get(number), records[0].offset)
            events = [event for record in records for event in await self._events(source, record)]
            if events:
                groups.append(Group(source, time.time_ns() // 1000, events))
            known[number] = records[-1].offset + 1
        after = msgspec.json.encode(offsets, order="deterministic").decode()
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
        self._taken += 1
        await self._commit(consumer, {one: offsets[one.topic][str(one.partition)] for one in found})

    def _compare(self, source: str, expected: int | None, found: int) -> None:
        """Tell when the first record is not the one that was expected."""
        if expected is None or found == expected:
            return
        if found > expected:  # compaction and transactions leave out some as well
            self._sink.count("offsets_skipped", found - expected)
            return
        self._sink.count("offsets_gone_back")
        _log.warning("offsets went back", partition=source, expected=expected, found=found)

    async def _events(self, source: str, record: Any) -> list[bytes]:
        if record.value is None:
            self._sink.count("tombstones")
            return []
        headers = {key: value.decode("utf-8", "replace") for key, value in record.headers}
        wanted = self._settings
        try:
            events, long = events_of(record.value, headers, wanted.layout, wanted.max_event_bytes)
        except Unusable as error:
            self._sink.count("unusable")
            await self._sink.keep_aside(f"{source}@{record.offset}", str(error), error.body)
            return []
        for beginning in long:
            self._sink.count("too_long")
            reason = f"an event longer than {wanted.max_event_bytes} bytes; this is its beginning"
            await self._sink.keep_aside(f"{source}@{record.offset}", reason, beginning)
        return events

    async def _commit(self, consumer: Any, offsets: Mapping[Any, int]) -> None:
        from aiokafka.errors import CommitFailedError, IllegalStateError  # noqa: PLC0415

        try:
            await consumer.commit(dict(offsets))
        except (CommitFailedError, IllegalStateError) as error:
            # The partition was given to another member, which begins at the older commit.
            self._sink.count("commits_failed")
            _log.warning("offsets are not committed", reason=str(error))

    def offsets(self) -> Offsets:
        """Return where each partition stands in the journal."""
        return msgspec.json.decode(self._state or "{}", type=Offsets)

    async def place(self, consumer: Any, partition: Any) -> None:
        """Put an assigned partition where it is to be read from."""
        self._sink.count("partitions_assigned")
        own = self.offsets().get(partition.topic, {}).get(str(partition.partition))
        if self._state is None:
            seek = consumer.seek_to_beginning
            if self._settings.start == "latest":
                seek = consumer.seek_to_end
            await seek(partition)
            return
        committed = await consumer.committed(partition)
        known = [offset for offset in (own, committed) if offset is not None]
        if known:
            consumer.seek(partition, max(known))

    async def check(self) -> str:
        """Connect, and look for the topics."""
        from aiokafka.errors import KafkaError  # noqa: PLC0415

        consumer = self._consumer()
        try:
            async with asyncio.timeout(self._settings.timeout):
                await consumer.start()
                there = await consumer.topics()
        except (KafkaError, OSError, TimeoutError) as error:
            raise ConnectorError(f"{self._where}: {str(error) or type(error).__name__}") from error
        finally:
            await consumer.stop()
        missing = [topic for topic in self._settings.topics if topic not in there]
        if missing:
            raise ConnectorError(f"{self._where}: there is no topic {', '.join(missing)}")
        return f"{self._where}: has {', '.join(self._settings.topics)}"


class _Listener:
    """Places partitions as they are assigned."""

    def __init__(self, consumer: Any, connector: KafkaConnector) -> None:
        self._consumer = consumer
        self._connector = connector

    def made(self) -> Any:
        """Return it as the library wants it."""
        from aiokafka import ConsumerRebalanceListener  # noqa: PLC0415

        consumer, connector = self._consumer, self._connector

        class Placing(ConsumerRebalanceListener):  # type: ignore[misc]
            async def on_partitions_revoked(self, revoked: Any) -> None:
                """Do nothing: what was handed over is durable."""

            async def on_partitions_assigned(self, assigned: Any) -> None:
                for partition in assigned:
                    await connector.place(consumer, partition)

        return Placing()


def _facts(settings: KafkaSettings, _home: Path) -> Mapping[str, str]:
    return {
        "brokers": ", ".join(settings.brokers),
        "topics": ", ".join(settings.topics),
        "group": settings.group,
    }


KIND = Kind(
    "kafka",
    "messages of Kafka topics",
    KafkaSettings,
    KafkaConnector,
    lambda settings, _home: f"kafka:{','.join(sorted(settings.topics))}:{settings.group}",
    _facts,
)
