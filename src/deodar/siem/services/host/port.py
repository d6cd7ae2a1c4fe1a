"""The API port of a service: its status and metrics, for the core.

Over TLS with the service's own certificate. Only a client gets an answer that shows the core's own
certificate, issued by the core's authority.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import httpx
from starlette.responses import PlainTextResponse, Response

from deodar.kit.background import background, occurs
from deodar.kit.logging import logger
from deodar.kit.serve import Endpoint, Limits, ServeError, serve
from deodar.siem.services.host.home import AUTHORITY, CERTIFICATE
from deodar.siem.services.wire import CORE_NAME
from deodar.tls.certificates import Purpose, check_issued, load_pair, subject_name
from deodar.tls.contexts import any_client

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from deodar.kit.directory import StateDirectory

_PATHS = ("/status", "/metrics")
_CONNECTIONS = 64
_SECONDS = 10.0
_LOOK_SECONDS = 60.0
_log = logger("siem.service")


async def keep_open(home: StateDirectory, port: int, stop: asyncio.Event) -> None:
    """Answer on the port until cancelled or stopped; opened again with each new certificate.

    A port that cannot be had is logged: the service works without.
    """
    while not stop.is_set():
        pem = home.read(CERTIFICATE)
        pair, changed = load_pair(pem), asyncio.Event()
        context = any_client(pair.certificate, pair.key)
        app = cast("Any", PortApp(home))
        limits = Limits(connections=_CONNECTIONS)
        endpoint = Endpoint(app, "::", port, tls=context, limits=limits)
        watch = _watch(home, pem, stop, changed)
        try:
            async with background(watch, "watch of the certificate"):
                await serve([endpoint], stop=changed)
        except ServeError as error:
            _log.error("the API port cannot be opened", port=port, reason=str(error))
            await occurs(stop, _LOOK_SECONDS)


class PortApp:
    """The application: what the collector says on its control socket, for the core alone."""

    def __init__(self, home: StateDirectory) -> None:
        self._home = home

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            await (await self._answer(scope))(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        problem = self._stranger(scope.get("client_certificate"))
        if problem:
            return PlainTextResponse(f"{problem}\n", 403)
        if scope["path"] not in _PATHS or scope["method"] != "GET":
            return PlainTextResponse(f"there are GET {' and '.join(_PATHS)}\n", 404)
        transport = httpx.AsyncHTTPTransport(uds=str(self._home.socket))
        try:
            async with httpx.AsyncClient(transport=transport, timeout=_SECONDS) as client:
                told = await client.get(f"http://local{scope['path']}")
        except (httpx.HTTPError, OSError):
            return PlainTextResponse("the collector is not at work\n", 503)
        return Response(told.content, told.status_code, media_type=told.headers["content-type"])

    def _stranger(self, certificate: bytes | None) -> str:
        if certificate is None:
            return "a client certificate is needed"
        authority = self._home.read(AUTHORITY)
        problem = check_issued(certificate, authority, datetime.now(UTC), Purpose.CLIENT)
        if problem:
            return f"the client's certificate {problem}"
        return "" if subject_name(certificate) == CORE_NAME else "only the core is answered"


async def _watch(
    home: StateDirectory, pem: bytes, stop: asyncio.Event, changed: asyncio.Event
) -> None:
    """Set `changed` at the stop, or when another certificate is in the folder."""
    while not stop.is_set() and home.read(CERTIFICATE) == pem:
        await occurs(stop, _LOOK_SECONDS)
    changed.set()
