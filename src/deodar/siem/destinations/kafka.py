"""Events into a Kafka topic, a message each, by an idempotent producer.

All replicas in sync confirm each message (acks=all); what the producer itself sends again the
brokers recognise. A batch that is delivered again after a crash has the same headers
``deodar-batch`` and ``deodar-event``, so that a reader can tell. Events with the same key go to the
same partition, in their order.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from deodar.columnar.dead_letters import DeadLetter
from deodar.siem.destinations import forms
from deodar.siem.destinations.base import Batch, CommonSettings, Destination, Kind, Progress
from deodar.siem.destinations.trust import TlsSettings
from deodar.siem.errors import DestinationUnavailable
from deodar.siem.kafka import Sasl, Security, link_options, link_problem
from deodar.siem.storage.model import MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PART = 2000
"""Events whose confirmation is waited for together."""


class KafkaSettings(CommonSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`brokers` are host:port. `key` names the field that is a message's key, empty for none. An
    event longer than `max_message_bytes` is refused; topic and brokers must allow as much.
    `password_file` holds the password of `user` for SASL.
    """  # noqa: D205

    brokers: list[str]
    topic: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
    key: str = "DeviceHostName"
    form: forms.Form = "json"
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "zstd"
    linger_seconds: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.0
    max_message_bytes: Annotated[int, msgspec.Meta(ge=1024, le=64 << 20)] = 1_000_000
    security: Security = "plaintext"
    sasl: Sasl = "none"
    user: str = ""
    password_file: str = ""
    tls: TlsSettings = TlsSettings()

    def problem(self) -> str:
        """Return what is wrong, or ""."""
        if self.key and self.key not in MODEL:
            return f"key: the event model has no field {self.key}"
        return link_problem(self) or super().problem()


class KafkaDestination(Destination):
    """One topic."""

    def __init__(self, settings: KafkaSettings, home: Path) -> None:
        self._settings = settings
        self._options = link_options(settings, home)
        self._progress = Progress()
        self._producer: Any = None

    async def deliver(self, batch: Batch) -> int:
        """Send all events and wait for the brokers' word on each."""
        rows = await asyncio.to_thread(forms.rows, batch.events)
        producer = await self._started()
        self._progress.begin(batch.id)
        for start in range(self._progress.parts * _PART, len(rows), _PART):
            await self._send(producer, batch.id, start, rows[start : start + _PART])
        return self._progress.result()

    async def _send(
        self, producer: Any, batch_id: str, start: int, rows: list[dict[str, Any]]
    ) -> None:
        from aiokafka.errors import KafkaError, MessageSizeTooLargeError  # noqa: PLC0415

        sent: list[tuple[int, bytes, Any]] = []
        letters: list[DeadLetter] = []
        try:
            for index, (key, value, headers) in enumerate(self._messages(batch_id, rows), start):
                try:
                    confirmed = await producer.send(
                        self._settings.topic, value, key=key, headers=headers
                    )
                except MessageSizeTooLargeError as error:
                    letters.append(_letter(error, index, value))
                else:
                    sent.append((index, value, confirmed))
            async with asyncio.timeout(self._settings.timeout):
                results = await asyncio.gather(
                    *(confirmed for *_, confirmed in sent), return_exceptions=True
                )
            for (index, value, _), result in zip(sent, results, strict=True):
                if isinstance(result, MessageSizeTooLargeError):
                    letters.append(_letter(result, index, value))
                elif isinstance(result, BaseException):
                    raise result
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise self._unavailable(error) from error
        refused = {letter.index for letter in letters}
        size = sum(len(value) for index, value, _ in sent if index not in refused)
        self._progress.partly(size, letters)

    def _messages(
        self, batch_id: str, rows: list[dict[str, Any]]
    ) -> Iterator[tuple[bytes | None, bytes, list[tuple[str, bytes]]]]:
        write = forms.FORMS[self._settings.form]
        batch = ("deodar-batch", batch_id.encode())
        for row in rows:
            key = str(row.get(self._settings.key, "")).encode() if self._settings.key else b""
            yield (
                key or None,
                write(row),
                [batch, ("deodar-event", str(row.get("ID", "")).encode())],
            )

    async def _started(self) -> Any:
        if self._producer is not None:
            return self._producer
        import aiokafka  # noqa: PLC0415 - for those who use it
        from aiokafka.errors import KafkaError  # noqa: PLC0415

        wanted = self._settings
        producer = aiokafka.AIOKafkaProducer(
            client_id="deodar",
            acks="all",
            enable_idempotence=True,
            compression_type=None if wanted.compression == "none" else wanted.compression,
            linger_ms=int(wanted.linger_seconds * 1000),
            max_request_size=wanted.max_message_bytes,
            request_timeout_ms=int(wanted.timeout * 1000),
            **self._options,
        )
        try:
            async with asyncio.timeout(wanted.timeout):
                await producer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await producer.stop()
            raise self._unavailable(error) from error
        self._producer = producer
        return producer

    async def check(self) -> str:
        """Connect and find the topic."""
        from aiokafka.errors import KafkaError  # noqa: PLC0415

        producer = await self._started()
        try:
            async with asyncio.timeout(self._settings.timeout):
                partitions = await producer.partitions_for(self._settings.topic)
        except (KafkaError, OSError, TimeoutError) as error:
            raise self._unavailable(error) from error
        return f"{self._where}: topic {self._settings.topic} has {len(partitions)} partitions"

    async def close(self) -> None:
        """Close the connections; what is not confirmed is not waited for."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(1.0):
                await producer.stop()
        except (TimeoutError, OSError):
            # Or it would go on trying, and its messages come besides those of the next try.
            await producer._sender.close()
            await producer.client.close()

    @property
    def _where(self) -> str:
        return f"Kafka {', '.join(self._settings.brokers)}"

    def _unavailable(self, error: BaseException) -> DestinationUnavailable:
        return DestinationUnavailable(f"{self._where}: {str(error) or type(error).__name__}")


def _letter(error: BaseException, index: int, value: bytes) -> DeadLetter:
    return DeadLetter(f"Kafka takes no message of {len(value)} bytes: {error}", "$", index, value)


KIND = Kind("kafka", "a message each into a topic", KafkaSettings, KafkaDestination)
