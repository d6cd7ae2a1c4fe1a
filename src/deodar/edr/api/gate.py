"""The way into the API: who asks, and a bound on what they send, before any operation runs.

Who asks is found by the API token in ``Authorization: Bearer``, or by the session's cookie. A
request that changes something by a session must carry its CSRF token in ``X-CSRF-Token``, so that
no other site can send it. Who is unknown gets no further than to the login and the documentation;
which role an operation needs, it says itself (`deodar.edr.api.access`).
"""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request

from deodar.edr import web
from deodar.edr.api.access import COOKIE, UNKNOWN, WHO, path_of
from deodar.edr.errors import ControlDataError
from deodar.edr.users.api_tokens import ApiTokens
from deodar.edr.users.sessions import Sessions
from deodar.kit.acting import Actor, acting
from deodar.kit.asgi import guarded, once
from deodar.kit.body import BodyError, read_body

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from starlette.types import ASGIApp, Receive, Scope, Send

    from deodar.edr.api.services import Services
    from deodar.edr.users.identity import Identity

_BODY = 1 << 20
_BODY_UNKNOWN = 16 << 10
_BODY_SECONDS = 30.0
_BODIES = 32
_BEARER = "bearer "
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


class Gate:
    """Stands before the application. Used within one event loop."""

    def __init__(
        self, app: ASGIApp, services: Services, public: AbstractSet[tuple[str, str]]
    ) -> None:
        """`public` are the methods and paths that need no user."""
        self._app = app
        self._public = public
        self._tokens = ApiTokens(services.database)
        limits = services.installation.settings.sessions
        self._sessions = Sessions(services.database, limits)
        self._places = asyncio.Semaphore(_BODIES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        send = guarded(send)
        try:
            who = await self._who(request)
        except ControlDataError:
            refusal = web.refusal(503, "Service Unavailable: the database does not answer", 5)
            await refusal(scope, receive, send)
            return
        if who is None and (request.method, path_of(scope)) not in self._public:
            await web.refusal(401, UNKNOWN)(scope, receive, send)
            return
        if who is not None and _is_foreign(request, who):
            refusal = web.refusal(403, "Forbidden: the header X-CSRF-Token is missing or wrong")
            await refusal(scope, receive, send)
            return
        scope[WHO] = who
        actor = Actor(who.name if who else "nobody", web.address(request))
        with acting(actor):
            await self._pass_on(request, who, send)

    async def _pass_on(self, request: Request, who: Identity | None, send: Send) -> None:
        try:
            body = await self._known_body(request) if who else await _body(request, _BODY_UNKNOWN)
        except BodyError as error:
            await web.refusal(error.status, str(error))(request.scope, request.receive, send)
            return
        except ClientDisconnect:
            return
        await self._app(request.scope, once(body, request.receive), send)

    async def _known_body(self, request: Request) -> bytes:
        """Read what a user sends; a few large bodies at a time, which no stranger can hold up."""
        async with self._places:
            return await _body(request, _BODY)

    async def _who(self, request: Request) -> Identity | None:
        shown = request.headers.get("authorization", "")
        if shown[: len(_BEARER)].lower() == _BEARER:
            secret = shown[len(_BEARER) :].strip()
            return await asyncio.to_thread(self._tokens.identify, secret)
        secret = request.cookies.get(COOKIE, "")
        return await asyncio.to_thread(self._sessions.identify, secret) if secret else None


async def _body(request: Request, most: int) -> bytes:
    encoding = request.headers.get("content-encoding")
    return await read_body(
        request.stream(), encoding, max_wire=most, max_plain=most, time_limit=_BODY_SECONDS
    )


def _is_foreign(request: Request, who: Identity) -> bool:
    """Whether a request that changes something may come from another site's page."""
    if not who.session or request.method in _SAFE:
        return False
    shown = request.headers.get("x-csrf-token", "")
    return not hmac.compare_digest(shown.encode(), who.csrf.encode())
