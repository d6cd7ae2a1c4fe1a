"""The way to NATS, and the stream that the nodes share.

The stream keeps packets until they are in the log; the writer purges it up to there. When it is
full it refuses more (``discard new``), which agents are told. Its connection is made again for
ever; what is asked of it meanwhile fails soon, and agents repeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any

import nats
from nats.errors import Error as NatsError
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from deodar.edr.errors import LogUnavailable, StreamProblem
from deodar.kit.background import background, occurs
from deodar.kit.errors import DeodarError
from deodar.kit.logging import logger
from deodar.tls.certificates import load_pair
from deodar.tls.contexts import pinned_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js.client import JetStreamContext

    from deodar.edr.settings import Stream as Settings

DUPLICATE_WINDOW = 120.0
"""Seconds in which the stream itself knows a packet again; the log does without end."""
_AGAIN = 1.0
_PENDING = 64 << 20
_NAME_IN_USE = 10058

log = logger("edr.nodes")


class Connection:
    """One node's connection. Used within one event loop."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        """Paths in the settings are seen from `folder`."""
        self.settings = settings
        self._folder = folder
        self._client: Client | None = None
        self._made = False
        self._ended = asyncio.Event()
        self._listeners: dict[str, Callable[[bytes], Awaitable[None]]] = {}
        self._problem = "not connected yet"

    @property
    def stream(self) -> str:
        """The stream's name."""
        return f"{self.settings.name}-packets"

    @property
    def problem(self) -> str:
        """Why the stream cannot be used now, or ""."""
        return "" if self._usable else self._problem

    @property
    def client(self) -> Client:
        """The connected client; raises LogUnavailable while there is none."""
        if self._client is None or not self._usable:
            raise LogUnavailable(f"NATS cannot be reached: {self._problem}", retry_after=2)
        return self._client

    @property
    def jetstream(self) -> JetStreamContext:
        """The stream's interface; raises LogUnavailable."""
        return self.client.jetstream(timeout=self.settings.timeout)

    @property
    def _usable(self) -> bool:
        return self._made and self._client is not None and self._client.is_connected

    def subject(self, kind: str, *rest: str) -> str:
        """Return a subject below the settings' name."""
        return ".".join((self.settings.name, kind, *rest))

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Connection]:
        """Connect, as often as it takes, while this lasts; the first try is waited for."""
        tried = asyncio.Event()
        try:
            async with background(self._connect(tried), "connection to NATS"):
                await occurs(tried, self.settings.timeout)
                yield self
        finally:
            await self._close()

    def listen(self, subject: str, heard: Callable[[bytes], Awaitable[None]]) -> None:
        """Call `heard` with what is told on a subject; for before `opened`."""
        self._listeners[subject] = heard

    async def tell(self, subject: str, data: bytes) -> None:
        """Tell whoever listens now; that it arrives is not certain."""
        with contextlib.suppress(NatsError, LogUnavailable):
            await self.client.publish(subject, data)

    async def _connect(self, tried: asyncio.Event) -> None:
        while True:
            try:
                await self._try()
            except (NatsError, OSError, TimeoutError, DeodarError) as error:
                reason = str(error) or type(error).__name__
                if reason != self._problem:
                    log.warning("nats_not_usable", reason=reason)
                self._problem = reason
                tried.set()
                await asyncio.sleep(_AGAIN)
            else:
                tried.set()
                await self._ended.wait()
                self._made = False

    async def _try(self) -> None:
        if self._client is None or self._client.is_closed:
            self._ended.clear()
            self._client = await nats.connect(**self._options())
            for subject, heard in self._listeners.items():
                await self._client.subscribe(subject, cb=_taking(heard))
        await self._make_stream(self._client.jetstream(timeout=self.settings.timeout))
        self._made = True
        log.info("nats_connected", stream=self.stream)

    async def _make_stream(self, jetstream: JetStreamContext) -> None:
        wanted = self._config()
        try:
            found = (await jetstream.stream_info(self.stream)).config
        except NotFoundError:
            try:
                await jetstream.add_stream(wanted)
            except APIError as error:  # another node may have made it just now
                if error.err_code != _NAME_IN_USE:
                    raise
            return
        if found.discard != DiscardPolicy.NEW or found.retention != RetentionPolicy.LIMITS:
            raise StreamProblem(
                f"the stream {self.stream} was made by somebody else; give ingest.stream.name"
            )
        changed = (found.max_bytes, found.num_replicas) != (wanted.max_bytes, wanted.num_replicas)
        if changed or found.subjects != wanted.subjects:
            await jetstream.update_stream(wanted)

    def _config(self) -> StreamConfig:
        return StreamConfig(
            name=self.stream,
            subjects=[self.subject("packet", "*"), self.subject("part", "*")],
            retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.NEW,
            storage=StorageType.FILE,
            max_bytes=self.settings.max_bytes,
            num_replicas=self.settings.replicas,
            duplicate_window=DUPLICATE_WINDOW,
        )

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "servers": list(self.settings.urls),
            "name": "deodar edr",
            "connect_timeout": 2,
            "reconnect_time_wait": 0.2,
            "max_reconnect_attempts": -1,
            "ping_interval": 5,
            "max_outstanding_pings": 2,
            "pending_size": _PENDING,
            "error_cb": self._failed,
            "disconnected_cb": self._disconnected,
            "reconnected_cb": self._reconnected,
            "closed_cb": self._closed,
        }
        if any(url.startswith("tls://") for url in self.settings.urls):
            options["tls"] = self._tls()
        return options

    def _tls(self) -> ssl.SSLContext:
        settings, folder = self.settings, self._folder
        pair = (
            load_pair((folder / settings.certificate).read_bytes())
            if settings.certificate
            else None
        )
        if settings.ca:
            return pinned_client((folder / settings.ca).read_bytes(), pair, host_names=True)
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.certificate:
            context.load_cert_chain(folder / settings.certificate)
        return context

    async def _failed(self, error: Exception) -> None:
        self._problem = str(error) or type(error).__name__

    async def _disconnected(self) -> None:
        log.warning("nats_disconnected", reason=self._problem)

    async def _reconnected(self) -> None:
        log.info("nats_connected_again")

    async def _closed(self) -> None:
        """Begin anew: the library has given up, as when the servers know the user no more."""
        self._ended.set()

    async def _close(self) -> None:
        if self._client is not None:
            with contextlib.suppress(NatsError, OSError):
                await self._client.close()


def _taking(heard: Callable[[bytes], Awaitable[None]]) -> Callable[[Msg], Awaitable[None]]:
    async def take(message: Msg) -> None:
        await heard(message.data)

    return take
