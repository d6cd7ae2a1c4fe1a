"""Events into a stream of NATS JetStream: blocks of lines, each with an id of its own.

``Nats-Msg-Id`` is the batch's id and the block's number, so that the stream drops a repeat within
its window; the stream's acknowledgement is the receipt. A stream that takes the subject must exist.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from deodar.kit.errors import SettingsError
from deodar.siem.destinations import forms
from deodar.siem.destinations.base import (
    Batch,
    CommonSettings,
    Destination,
    Kind,
    Progress,
    read_file,
)
from deodar.siem.destinations.packing import Packing, pack
from deodar.siem.destinations.trust import TlsSettings, client_context
from deodar.siem.errors import DestinationUnavailable

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
    compression: Packing = "zstd"
    max_events: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    user: str = ""
    password_file: str = ""
    token_file: str = ""
    tls: TlsSettings = TlsSettings()

    def problem(self) -> str:
        """Return what is wrong, or ""."""
        if not self.urls:
            return "urls: give at least one"
        for url in self.urls:
            if not url.startswith(("nats://", "tls://")) or any(map(str.isspace, url)):
                return f"urls: {url!r} is not nats://host:port or tls://host:port"
        if bool(self.user) != bool(self.password_file):
            return "user: user and password_file belong together"
        return self.tls.problem() or super().problem()


class NatsDestination(Destination):
    """One subject of a NATS server or cluster."""

    def __init__(self, settings: NatsSettings, home: Path) -> None:
        self._settings = settings
        self._options = _options(settings, home)
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


async def _ignore(_error: Exception) -> None:
    """Keep the library from logging by itself: every failure reaches the caller."""


def _options(settings: NatsSettings, home: Path) -> dict[str, Any]:
    options: dict[str, Any] = {
        "servers": settings.urls,
        "name": "deodar",
        "allow_reconnect": False,  # the collector tries again, and tells of it
        "connect_timeout": min(settings.timeout, 10.0),
        "error_cb": _ignore,
    }
    if settings.user:
        options |= {"user": settings.user, "password": _secret(home, settings.password_file)}
    if settings.token_file:
        options["token"] = _secret(home, settings.token_file)
    if any(url.startswith("tls://") for url in settings.urls):
        options["tls"] = client_context(settings.tls, home)
    return options


def _secret(home: Path, name: str) -> str:
    text = read_file(home, name).decode("utf-8", "replace").strip()
    if not text:
        raise SettingsError(f"{home / name} is empty")
    return text


KIND = Kind("nats-jetstream", "blocks into a NATS stream", NatsSettings, NatsDestination)
