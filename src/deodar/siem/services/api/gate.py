"""The way into the API: who asks, and a bound on what they send, before any operation runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from deodar.kit.acting import Actor, acting
from deodar.kit.asgi import guarded, once
from deodar.kit.body import BodyError, read_body
from deodar.siem.errors import ControlDataError
from deodar.siem.services.api.access import UNKNOWN, WHO
from deodar.siem.services.api_tokens import ApiTokens

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from deodar.siem.services.core import ServiceCore

_BODY = 24 << 20
_BODY_SECONDS = 60.0
_BODIES = 4
_BEARER = "bearer "


class Gate:
    """Stands before the application. Used within one event loop."""

    def __init__(self, app: ASGIApp, core: ServiceCore, public: frozenset[str]) -> None:
        """`public` are the paths that anybody may read."""
        self._app = app
        self._tokens = ApiTokens(core.database)
        self._public = public
        self._places = asyncio.Semaphore(_BODIES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, send = Request(scope, receive), guarded(send)
        if scope["path"] in self._public and request.method == "GET":
            await self._app(scope, receive, send)
            return
        try:
            token = await asyncio.to_thread(self._tokens.identify, _secret(request))
        except ControlDataError:
            answer = refusal(503, "the core's database does not answer; come again")
            await answer(scope, receive, send)
            return
        if token is None:
            await refusal(401, UNKNOWN)(scope, receive, send)
            return
        scope[WHO] = token
        address = request.client.host if request.client else ""
        async with self._places:
            with acting(Actor(token.user, address)):
                await self._pass_on(request, send)

    async def _pass_on(self, request: Request, send: Send) -> None:
        try:
            body = await read_body(
                request.stream(),
                request.headers.get("content-encoding"),
                max_wire=_BODY,
                max_plain=_BODY,
                time_limit=_BODY_SECONDS,
            )
        except BodyError as error:
            await refusal(error.status, str(error))(request.scope, request.receive, send)
        except ClientDisconnect:
            return
        else:
            await self._app(request.scope, once(body, request.receive), send)


def refusal(status: int, text: str) -> Response:
    """Return an error answer ``{"error": text}``."""
    body = msgspec.json.encode({"error": text})
    answer = Response(body, status, media_type="application/json")
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        answer.headers["Retry-After"] = "5"
    return answer


def _secret(request: Request) -> str:
    shown = request.headers.get("authorization", "")
    return shown[len(_BEARER) :].strip() if shown[: len(_BEARER)].lower() == _BEARER else ""
