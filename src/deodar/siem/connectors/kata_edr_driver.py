"""The driver of the ``kata/edr`` connector: it carries out what the state machine says.

HTTP/1.1 by httpx, nothing followed, no proxies from the environment. Bodies are bounded both as
they come and unpacked. Source of the protocol: KATA's events API for external systems.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlencode

import httpx

from deodar.kit.body import BodyError, BodyTooLarge, read_body
from deodar.kit.logging import logger
from deodar.siem.connectors.kata_edr import (
    Answer,
    Deliver,
    KataEdr,
    KeepAside,
    Request,
    Wait,
)
from deodar.siem.connectors.kata_edr_answer import summarize
from deodar.tls.contexts import pinned_client, unverified_client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deodar.siem.connectors.kata_edr import Command
    from deodar.siem.connectors.kata_edr_settings import KataEdrSettings
    from deodar.siem.connectors.status import Status
    from deodar.tls.certificates import Pair

_CONNECT_SECONDS = 20.0
_ERROR_BODY = 65_536
_HEADERS = {"accept": "application/json, application/octet-stream", "accept-encoding": "zstd, gzip"}
# A server behind a dead line is noticed long before the client timeout of half an hour.
_KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6),
]
_log = logger("siem.connector")


class Sink(Protocol):
    """Where answers go."""

    async def deliver(self, command: Deliver, body: bytes) -> None:
        """Make body and token durable; returns when they are, however long that takes."""

    async def keep_aside(self, command: KeepAside, body: bytes) -> None:
        """Keep a body that cannot be used."""

    def changed(self, status: Status) -> None:
        """Take note of the connector's status."""


class Driver:
    """One running connector."""

    def __init__(
        self,
        settings: KataEdrSettings,
        context: ssl.SSLContext,
        sink: Sink,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._clock = clock
        self._machine = KataEdr(settings)
        self._body = b""
        self._anew = asyncio.Event()
        self._told: Status | None = None
        transport = httpx.AsyncHTTPTransport(
            verify=context, http2=False, trust_env=False, socket_options=_KEEPALIVE
        )
        self._client = httpx.AsyncClient(
            transport=transport, follow_redirects=False, trust_env=False, headers=_HEADERS
        )

    @property
    def status(self) -> Status:
        """The connector's colour, reason and remedy now."""
        return self._machine.status

    def begin_anew(self) -> None:
        """Drop the token: what runs is given up, and an initial request follows."""
        self._anew.set()

    async def run(self, token: str | None) -> None:
        """Fetch from `token` on (None: an initial request) until cancelled."""
        async with self._client:
            while True:
                self._anew.clear()
                await self._until_anew(token)
                token = None

    async def _until_anew(self, token: str | None) -> None:
        drive = asyncio.create_task(self._drive(token))
        anew = asyncio.create_task(self._anew.wait())
        try:
            await asyncio.wait({drive, anew}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (drive, anew):
                task.cancel()
            await asyncio.wait({drive, anew})
        if not drive.cancelled():
            drive.result()

    async def _drive(self, token: str | None) -> None:
        commands = self._machine.start(token, self._clock())
        while True:
            self._tell()
            commands = await self._carry_out(commands)

    def _tell(self) -> None:
        status = self._machine.status
        if status == self._told:
            return
        self._told = status
        _log.info("status", colour=status.colour, reason=status.reason, remedy=status.remedy)
        self._sink.changed(status)

    async def _carry_out(self, commands: list[Command]) -> list[Command]:
        for command in commands[:-1]:
            if isinstance(command, Deliver):
                await asyncio.shield(self._sink.deliver(command, self._body))
            elif isinstance(command, KeepAside):
                await self._sink.keep_aside(command, self._body)
        self._body = b""
        last = commands[-1]
        if isinstance(last, Wait):
            await asyncio.sleep(last.seconds)
            return self._machine.elapsed(self._clock())
        assert isinstance(last, Request)  # noqa: S101 - the machine ends every list with one of two
        return await self._ask(last)

    async def _ask(self, request: Request) -> list[Command]:
        try:
            async with asyncio.timeout(request.timeout):
                answer = await self._exchange(request)
        except (TimeoutError, httpx.TimeoutException) as error:
            return self._failed(request, "timeout", _timeout_text(error, request))
        except BodyTooLarge as error:
            return self._failed(request, "size", f"the answer is too large: {error}")
        except (httpx.HTTPError, httpx.InvalidURL, BodyError, OSError) as error:
            return self._failed(request, _kind(error), f"no answer from {_host(request)}: {error}")
        _log.debug("answer", url=_host(request), status=answer.status, bytes=len(self._body))
        return self._machine.answered(answer, self._clock())

    def _failed(self, request: Request, kind: str, reason: str) -> list[Command]:
        _log.warning("request failed", url=_host(request), kind=kind, reason=reason)
        return self._machine.failed(kind, reason, self._clock())

    async def _exchange(self, request: Request) -> Answer:
        query = urlencode(request.params, quote_via=quote)
        url = f"{request.url}?{query}" if query else request.url
        timeout = httpx.Timeout(request.timeout, connect=min(_CONNECT_SECONDS, request.timeout))
        async with self._client.stream("GET", url, timeout=timeout) as response:
            self._body = await self._read(response)
        summary = await asyncio.to_thread(summarize, response.status_code, self._body)
        if response.status_code != 200:
            _log.warning(
                "request refused",
                url=_host(request),
                status=response.status_code,
                reason=summary.error[:300],
            )
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, summary)

    async def _read(self, response: httpx.Response) -> bytes:
        """Return the body, unpacked; of an error answer only its beginning matters."""
        largest = self._settings.max_body_bytes if response.status_code == 200 else _ERROR_BODY
        encoding = response.headers.get("content-encoding")
        try:
            return await read_body(
                response.aiter_raw(), encoding, max_wire=largest, max_plain=largest, time_limit=None
            )
        except BodyError:
            if response.status_code == 200:
                raise
            return b""


def server_context(settings: KataEdrSettings, pair: Pair, folder: Path) -> ssl.SSLContext:
    """Return the TLS context that shows `pair` and knows the server as the settings say.

    `folder` is where relative file names are. Raises TlsError for unusable pins or certificates,
    OSError when the authority's file cannot be read.
    """
    if settings.insecure:
        return unverified_client(pair)
    if settings.pins:
        return pinned_client(settings.pins, pair)
    if settings.ca:
        return pinned_client((folder / settings.ca).read_bytes(), pair)
    context = ssl.create_default_context()
    context.load_cert_chain(folder / settings.secret)
    return context


def _timeout_text(error: Exception, request: Request) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection to {_host(request)} in time"
    return f"no answer from {_host(request)} within {request.timeout:g} s (client timeout)"


def _kind(error: Exception) -> str:
    """Return "tls" for an error whose cause is TLS, "network" for others."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            return "tls"
        cause = cause.__cause__ or cause.__context__
    return "network"


def _host(request: Request) -> str:
    return request.url.partition("/kata/")[0]
