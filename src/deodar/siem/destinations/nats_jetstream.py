"""Events into a stream of NATS JetStream: blocks of lines, each with an id of its own.

``Nats-Msg-Id`` is the batch's id and the block's number, so that the stream drops a repeat within
its window; the stream's acknowledgement is the receipt. A stream that takes the subject must exist.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from deodar.siem.destinations import forms
from deodar.siem.destinations.base import (
    Batch,
    CommonSettings,
    Destination,
    Kind,
    Progress,
)
from deodar.siem.destinations.packing import pack
from deodar.siem.destinations.trust import TlsSettings
from deodar.siem.errors import DestinationUnavailable
from deodar.siem.nats import link_options, link_problem

if TYPE_CHECKING:
    from pathlib import Path

    from nats.aio.client import Client

_HEAD_BYTES = 1024  # of a message's largest size, kept for its headers


class NatsSettings(CommonSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`urls` such as nats://host:4222 or tls://host:4222 are nodes of one cluster. A block has at
    most `max_events` events and what the server takes in one message. `token_file` holds a token,
    `password_file` the password of `user`.
    """  # noqa: D205

    urls: list[str]
    subject: Annotated[str, msgspec.Meta(pattern=r"^[^\s*>]+$")]
    form: forms.Form = "json"
    compression: Literal["none", "gzip", "zstd"] = "zstd"
    max_events: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    user: str = ""
    password_file: str = ""
    token_file: str = ""
    tls: TlsSettings = TlsSettings()

    def problem(self) -> str:
        """Return what is wrong, or ""."""
        return link_problem(self) or super().problem()


class NatsDestination(Destination):
    """One subject of a NATS server or cluster."""

    def __init__(self, settings: NatsSettings, home: Path) -> None:
        self._settings = settings
        self._options = link_options(settings, home)
        self._progress = Progress()
        self._client: Client | None = None

    async def deliver(self, batch: Batch) -> int:
        """Publish all blocks and wait for the stream's word on each."""
        client = await self._connected()
        room = client.max_payload - _HEAD_BYTES
        blocks = await asyncio.to_thread(self._blocks, batch, room)
        self._progress.begin(batch.id)
        for number in range(self._progress.parts, len(blocks)):
            rows, block = blocks[number]
            if len(block) > room:
                self._progress.refused(rows, f"an event is longer than {room} bytes in a message")
                continue
            await self._publish(client, f"{batch.id}-{number + 1}", batch.id, block)
            self._progress.delivered(len(block))
        return self._progress.result()

    async def check(self) -> str:
        """Connect and find the stream of the subject."""
        client = await self._connected()
        try:
            stream = await client.jetstream(
                timeout=self._settings.timeout
            ).find_stream_name_by_subject(self._settings.subject)
        except Exception as error:
            raise self._unavailable(error) from error
        return f"{self._settings.urls[0]}: stream {stream} takes {self._settings.subject}"

    async def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _blocks(self, batch: Batch, room: int) -> list[tuple[int, bytes]]:
        lines = forms.render(self._settings.form, batch.events)
        return [
            (len(group), pack(forms.ndjson(group), self._settings.compression))
            for group in forms.chunks(lines, room, self._settings.max_events)
        ]

    async def _publish(self, client: Client, block_id: str, batch_id: str, block: bytes) -> None:
        headers = {"Nats-Msg-Id": block_id, "Deodar-Batch": batch_id}
        if self._settings.compression != "none":
            headers["Content-Encoding"] = self._settings.compression
        try:
            await client.jetstream().publish(
                self._settings.subject, block, timeout=self._settings.timeout, headers=headers
            )
        except Exception as error:
            raise self._unavailable(error) from error

    async def _connected(self) -> Client:
        if self._client is not None and self._client.is_connected:
            return self._client
        await self.close()
        import nats  # noqa: PLC0415 - for those who use it

        try:
            async with asyncio.timeout(self._settings.timeout):
                self._client = await nats.connect(**self._options)
        except Exception as error:
            raise self._unavailable(error) from error
        return self._client

    def _unavailable(self, error: Exception) -> DestinationUnavailable:
        reason = str(error) or type(error).__name__
        return DestinationUnavailable(f"NATS {', '.join(self._settings.urls)}: {reason}")


KIND = Kind("nats-jetstream", "blocks into a NATS stream", NatsSettings, NatsDestination)
