"""The driver of the ``kata/edr`` connector: it carries out what the state machine says.

HTTP/1.1 by httpx, nothing followed, no proxies from the environment. Bodies are bounded both as
they come and unpacked. Source of the protocol: KATA's events API for external systems.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlencode

import httpx

from deodar.kit.body import BodyError, BodyTooLarge, read_body
from deodar.kit.logging import logger
from deodar.siem.connectors.encoding import known_encoding, to_utf8
from deodar.siem.connectors.kata_edr import (
    Answer,
    Deliver,
    KataEdr,
    KeepAside,
    Request,
    Wait,
)
from deodar.siem.connectors.kata_edr_answer import summarize
from deodar.siem.connectors.kata_edr_failures import host_of, kind_of, timeout_text, words_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from deodar.siem.connectors.kata_edr import Command
    from deodar.siem.connectors.kata_edr_settings import KataEdrSettings
    from deodar.siem.connectors.status import ServerState, Status

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

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count of the connector's own."""

    async def answered(self, url: str, *, resumed: bool) -> None:
        """Take note of an answer that can be used; `resumed`: it was asked for with a token."""

    async def token_lost(self, url: str) -> None:
        """Take note that the server no longer knows the token."""


class Driver:
    """One running connector."""

    def __init__(
        self,
        settings: KataEdrSettings,
        contexts: Mapping[str, ssl.SSLContext],
        sink: Sink,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`contexts` has the TLS context for each of the settings' servers."""
        self._settings = settings
        self._encoding = known_encoding(settings.character_encoding)
        self._sink = sink
        self._clock = clock
        self._machine = KataEdr(settings)
        self._body = b""
        self._anew = asyncio.Event()
        self._told: Status | None = None
        self._clients = {url: _client(context) for url, context in contexts.items()}

    @property
    def status(self) -> Status:
        """The connector's colour, reason and remedy now."""
        return self._machine.status

    @property
    def servers(self) -> tuple[ServerState, ...]:
        """Each server with its own errors."""
        return self._machine.servers(self._clock())

    def begin_anew(self) -> None:
        """Drop the token: what runs is given up, and an initial request follows."""
        self._anew.set()

    async def run(self, token: str | None) -> None:
        """Fetch from `token` on (None: an initial request) until cancelled."""
        async with contextlib.AsyncExitStack() as stack:
            for client in self._clients.values():
                await stack.enter_async_context(client)
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
            return self._failed(request, "timeout", timeout_text(error, request))
        except BodyTooLarge as error:
            return self._failed(request, "size", f"the answer is too large: {error}")
        except (httpx.HTTPError, httpx.InvalidURL, BodyError, OSError) as error:
            kind = kind_of(error, trust_first=self._settings.trust_first)
            return self._failed(
                request, kind, f"no answer from {host_of(request)}: {words_of(error)}"
            )
        _log.debug("answer", url=host_of(request), status=answer.status, bytes=len(self._body))
        resumed = self._machine.token is not None
        commands = self._machine.answered(answer, self._clock())
        await self._note(host_of(request), resumed=resumed)
        return commands

    async def _note(self, url: str, *, resumed: bool) -> None:
        kind = self._machine.problem_kind
        if not kind:
            await self._sink.answered(url, resumed=resumed)
        elif kind == "token_lost":
            await self._sink.token_lost(url)
        elif kind == "no_progress":
            self._sink.count("stuck")

    def _failed(self, request: Request, kind: str, reason: str) -> list[Command]:
        _log.warning("request failed", url=host_of(request), kind=kind, reason=reason)
        return self._machine.failed(kind, reason, self._clock())

    async def _exchange(self, request: Request) -> Answer:
        query = urlencode(request.params, quote_via=quote)
        url = f"{request.url}?{query}" if query else request.url
        timeout = httpx.Timeout(request.timeout, connect=min(_CONNECT_SECONDS, request.timeout))
        client = self._clients[host_of(request)]
        async with client.stream("GET", url, timeout=timeout) as response:
            self._body = await self._read(response)
        await self._convert()
        summary = await asyncio.to_thread(summarize, response.status_code, self._body)
        if response.status_code != 200:
            _log.warning(
                "request refused",
                url=host_of(request),
                status=response.status_code,
                reason=summary.error[:300],
            )
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, summary)

    async def _convert(self) -> None:
        if not self._encoding:
            return
        converted = await asyncio.to_thread(to_utf8, self._body, self._encoding)
        self._body = converted.body
        if converted.replaced:
            _log.warning(
                "characters could not be converted",
                encoding=self._encoding,
                replaced=converted.replaced,
            )
            self._sink.count("characters_replaced", converted.replaced)

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


def _client(context: ssl.SSLContext) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(
        verify=context, http2=False, trust_env=False, socket_options=_KEEPALIVE
    )
    return httpx.AsyncClient(
        transport=transport, follow_redirects=False, trust_env=False, headers=_HEADERS
    )
