"""The way in for external systems to the APIs beside the one of events: who asks, and for what.

The rules are those of the events API: the same register of systems, the same answers to who is not
accepted, the same share of requests. Parameters may stand behind ``&`` where ``?`` is meant, as in
the vendor's examples. What is done within is done in the name of the external system.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from deodar.edr import web
from deodar.edr.errors import (
    AlreadyThere,
    BadRequest,
    NotKnown,
    OrderRefused,
    TooManyRequests,
)
from deodar.edr.events_api import CONFLICT
from deodar.edr.external_system import Access, Caller, valid_id
from deodar.edr.pauses import Pauses
from deodar.kit.acting import Actor, acting
from deodar.kit.body import BodyError
from deodar.response.errors import OrderProblem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from deodar.edr.admission import Admission
    from deodar.edr.external_systems import Register
    from deodar.edr.live_settings import LiveSettings

_MOST_WORDS = 8
_MOST_PARAMETERS = 32


@dataclass(frozen=True)
class Asked:
    """One request of an accepted system: the words of the path behind its id, and the query."""

    request: Request
    system: str
    words: tuple[str, ...]
    query: dict[str, str]

    async def json(self, largest: int) -> Any:
        """Return the body's JSON; raises BadRequest, BodyError."""
        return web.decode(await self.body(largest), object)

    async def body(self, largest: int) -> bytes:
        """Return the body; raises BodyError."""
        return await web.body_of(self.request, largest)


class Entrance:
    """Lets external systems in. Used within one event loop."""

    def __init__(self, register: Register, admission: Admission, settings: LiveSettings) -> None:
        self._register = register
        self._admission = admission
        self._live = settings
        self._pauses = Pauses()

    async def serve(
        self, request: Request, prefix: str, work: Callable[[Asked], Awaitable[Response]]
    ) -> Response:
        """Return what `work` answers to an accepted system, or why it is refused."""
        try:
            system, words, query = _target(request, prefix)
            certificate: bytes | None = request.scope.get("client_certificate")
            if certificate is None:
                return web.refusal(401, "Unauthorized")
            caller = Caller(system, web.address(request), certificate)
            return await self._admit(caller, Asked(request, system, words, query), work)
        except TooManyRequests as error:
            return web.refusal(429, str(error), error.retry_after)
        except (BadRequest, OrderProblem) as error:
            text = str(error).removeprefix("Bad Request: ")
            return web.refusal(400, f"Bad Request: {text}")
        except BodyError as error:
            return web.refusal(error.status, f"Bad Request: {error}")
        except NotKnown as error:
            return web.refusal(404, f"Not Found: {error}")
        except (AlreadyThere, OrderRefused) as error:
            return web.refusal(409, f"Conflict: {error}")
        except ClientDisconnect:
            return Response(status_code=499)

    async def _admit(
        self, caller: Caller, asked: Asked, work: Callable[[Asked], Awaitable[Response]]
    ) -> Response:
        key, settings = (caller.id, caller.digest), self._live.current.events_api
        self._admission.check(key, settings.rate)
        await self._pauses.before(key)
        if not valid_id(caller.id):
            raise BadRequest("the external system id in the URL is not a UUID or similar name")
        access = await asyncio.to_thread(self._register.authorise, caller)
        if access is not Access.GRANTED:
            self._pauses.note(key)
            refused = (409, CONFLICT) if access is Access.CONFLICT else (401, "Unauthorized")
            return web.refusal(*refused)
        with contextlib.ExitStack() as held:
            held.enter_context(
                self._admission.admitted(key, settings.rate, settings.requests_at_once)
            )
            held.enter_context(acting(Actor(f"external system {caller.id}", caller.ip)))
            return await work(asked)


def _target(request: Request, prefix: str) -> tuple[str, tuple[str, ...], dict[str, str]]:
    """Return the system's id, the path's words behind it, and the query; raises BadRequest."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    path = raw.split(b"?", 1)[0].removeprefix(prefix.encode())
    path, _, more = path.partition(b"&")
    parts = [text for text in (more, request.scope.get("query_string", b"")) if text]
    try:
        words = [unquote(word.decode("ascii"), errors="strict") for word in path.split(b"/")]
        given = parse_qsl(
            b"&".join(parts).decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except (UnicodeDecodeError, ValueError) as error:
        raise BadRequest(f"the address is not URL-encoded UTF-8: {error}") from error
    if len(words) > _MOST_WORDS:
        raise NotKnown("nothing has so long a path")
    return words[0], tuple(words[1:]), dict(given)
