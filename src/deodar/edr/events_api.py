"""The events API: external systems fetch events in the log's order, by continuation tokens.

``GET /kata/events_api/v1/<external system id>/events``, after KATA's API of that name. A request
ends at the first of the number of events and the time that it asked for. Its answer is put
together from the events' own text, without decoding it. Waiting requests do not ask the store:
they wait for the log's watermark.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple
from urllib.parse import unquote

from starlette.responses import Response
from starlette.routing import Route

from deodar import kedrql
from deodar.edr import durations, events_query, tokens, web
from deodar.edr.database import now_us
from deodar.edr.errors import BadRequest, TokenError, TooManyRequests
from deodar.edr.external_system import Access, Caller, valid_id
from deodar.edr.log.schema import quoted
from deodar.edr.pauses import Pauses
from deodar.edr.settings import history_seconds
from deodar.kedrql.errors import KedrqlError
from deodar.kit import body
from deodar.kit.logging import logger
from deodar.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from starlette.requests import Request

    from deodar.edr.admission import Admission, Key
    from deodar.edr.events_query import EventsQuery
    from deodar.edr.external_systems import Register
    from deodar.edr.filters import FilterStore
    from deodar.edr.live_settings import LiveSettings
    from deodar.edr.log.slices import Joined, Slice
    from deodar.edr.log.view import View
    from deodar.edr.progress import Progress
    from deodar.edr.settings import EventsApi as Settings

CONFLICT = (
    "Conflict: An external system with the following ip and certificate digest already exists. "
    "Either delete it or provide a new certificate"
)
PREFIX = "/kata/events_api/v1/"
_RECHECK_AFTER = 1.0
_SMALL = 65_536  # bytes of an answer that is put together without a thread

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

log = logger("edr.events_api")


@dataclass(frozen=True)
class Position:
    """Where a request goes on: behind the number `seq`, with a filter; and for whom."""

    key: Key
    seq: int
    digest: bytes
    where: kedrql.Sql | None


@dataclass
class Collected:
    """What has been gathered for one answer."""

    scanned: int
    parts: list[Joined] = field(default_factory=list)
    count: int = 0
    size: int = 0
    full: bool = False


class EventsApi:
    """The application behind the API's URL."""

    def __init__(
        self,
        log_: View,
        register: Register,
        filters: FilterStore,
        key: bytes,
        settings: LiveSettings,
        admission: Admission,
        progress: Progress,
        executor: Executor,
    ) -> None:
        """`key` signs the tokens; `executor` runs the reads of the store."""
        self._log = log_
        self._register = register
        self._filters = filters
        self._key = key
        self._live = settings
        self._admission = admission
        self._progress = progress
        self._executor = executor
        self._pauses = Pauses()

    @property
    def _settings(self) -> Settings:
        return self._live.current.events_api

    @property
    def routes(self) -> list[Route]:
        """The routes for the server's application."""
        return [Route(PREFIX + "{system}/{tail:path}", self.events, methods=["GET"])]

    async def events(self, request: Request) -> Response:
        """Answer one request."""
        try:
            system, tail = _target(request)
            given = events_query.parameters(tail, request.scope.get("query_string", b""))
            if given is None:
                return web.refusal(404, "Not Found")
            caller = _caller(request, system)
            if caller is None:
                return web.refusal(401, "Unauthorized")
            return await self._admit(request, caller, given)
        except BadRequest as error:
            return web.refusal(400, f"Bad Request: {error}")
        except TooManyRequests as error:
            return web.refusal(429, str(error), error.retry_after)
        except TokenError as error:
            log.warning("token_refused", id=system, reason=error.reason)
            return web.refusal(404, str(error))
        except StoreError as error:
            log.warning("store_failed", reason=str(error))
            return web.refusal(503, "Service Unavailable: the event log cannot be read", 5)

    async def _admit(self, request: Request, caller: Caller, given: dict[str, str]) -> Response:
        """Answer a caller who may read, and not too often."""
        key, settings = (caller.id, caller.digest), self._settings
        self._admission.check(key, settings.rate)
        await self._pauses.before(key)
        refused = await self._authorise(caller)
        if refused is not None:
            self._pauses.note(key)
            return refused
        with self._admission.admitted(key, settings.rate, settings.requests_at_once):
            return await self._answer(request, caller, events_query.parse(given, settings))

    async def _authorise(self, caller: Caller) -> Response | None:
        """Return the refusal of a caller who may not read, or None."""
        if not valid_id(caller.id):
            raise BadRequest("the external system id in the URL is not a UUID or similar name")
        access = await asyncio.to_thread(self._register.authorise, caller)
        if access is Access.CONFLICT:
            return web.refusal(409, CONFLICT)
        return None if access is Access.GRANTED else web.refusal(401, "Unauthorized")

    async def _answer(self, request: Request, caller: Caller, query: EventsQuery) -> Response:
        position = await self._position(caller, query)
        loop = asyncio.get_running_loop()
        began = loop.time()
        stop = request.scope.get("state", {}).get("stop")
        collected = await web.unless_gone(request, self._collect(position, query, stop))
        if collected is None:
            return Response(status_code=499)  # nobody is there to see it
        waited = loop.time() - began > _RECHECK_AFTER
        if waited and not await asyncio.to_thread(self._register.still_granted, caller):
            return web.refusal(401, "Unauthorized")
        self._progress.note(caller, collected.scanned, collected.count)
        token = tokens.Token(self._log.epoch, position.digest, collected.scanned, now_us())
        return await self._respond(request, collected, tokens.seal(self._key, caller.id, token))

    async def _position(self, caller: Caller, query: EventsQuery) -> Position:
        """Return where to go on; raises TokenError or BadRequest."""
        system, key, text = caller.id, (caller.id, caller.digest), query.filter
        where = _compiled(text) if text else None
        if not query.token:
            seq = await self._beginning()
            digest = await asyncio.to_thread(self._filters.keep, system, text)
            return Position(key, seq, digest, where)
        token = tokens.unseal(self._key, system, query.token, self._is_ours)
        await self._check_age(token)
        if text:
            digest = await asyncio.to_thread(self._filters.keep, system, text)
            return Position(key, token.seq, digest, where)
        text = await asyncio.to_thread(self._filters.text, system, token.filter)
        return Position(key, token.seq, token.filter, _compiled(text) if text else None)

    def _is_ours(self, epoch: bytes) -> bool:
        """Whether an epoch is one of this log."""
        return self._log.problem(epoch, self._log.floor) is None

    async def _beginning(self) -> int:
        """Return the number behind which an initial request begins."""
        history = history_seconds(self._settings.history)
        if history == 0:
            return self._log.watermark.value
        reader = self._log.reader
        if history is None:
            seq = await self._run(reader.first_seq) - 1
        else:
            since = now_us() - int(history * 1_000_000)
            seq = await self._run(reader.seq_before, since)
        return max(seq, self._log.floor)

    async def _check_age(self, token: tokens.Token) -> None:
        """Raise TokenError for another log, or when what it would get is out of the window."""
        problem = self._log.problem(token.epoch, token.seq)
        if problem is not None:
            raise TokenError(problem)
        oldest = now_us() - int(self._settings.window * 1_000_000)
        if token.issued_us >= oldest:
            return
        received = await self._run(self._log.reader.received_after, token.seq)
        if received is not None and received < oldest:
            raise TokenError(
                "it is outdated: events after it were received more than "
                f"{durations.render(self._settings.window)} ago"
            )

    async def _collect(
        self, position: Position, query: EventsQuery, stop: asyncio.Event | None
    ) -> Collected:
        """Gather events until there are enough, the time is over, or the server stops."""
        deadline = asyncio.get_running_loop().time() + query.timeout
        collected = Collected(position.seq)
        while True:
            await self._read(position, query, collected, deadline)
            left = deadline - asyncio.get_running_loop().time()
            stopping = stop is not None and stop.is_set()
            if collected.full or left <= 0 or stopping:
                return collected
            wanted = collected.scanned + query.max_events - collected.count
            await self._wait(wanted, left, stop)

    async def _read(
        self, position: Position, query: EventsQuery, collected: Collected, deadline: float
    ) -> None:
        """Read what is in the log now, at least once, no longer than the deadline."""
        upto = self._log.watermark.value
        while collected.scanned < upto and not collected.full:
            wanted = self._wanted(query, collected, upto)
            known = self._log.recent.read(*wanted) if position.where is None else None
            found = known or await self._stored(position, wanted)
            if self._log.problem(self._log.epoch, collected.scanned) is not None:
                raise TokenError("events behind it were dropped by retention as it was served")
            collected.scanned = found.scanned
            if found.count:
                collected.parts.append(found.joined)
            collected.count += found.count
            collected.size += len(found.joined) + 1
            collected.full = found.cut or collected.count >= query.max_events
            if known is None and asyncio.get_running_loop().time() >= deadline:
                return

    def _wanted(
        self, query: EventsQuery, collected: Collected, upto: int
    ) -> tuple[int, int, int, int]:
        """Return behind which number to read, up to which one, and how many events and bytes."""
        size = max(1, self._settings.max_response_bytes - collected.size)
        return collected.scanned, upto, query.max_events - collected.count, size

    async def _stored(self, position: Position, wanted: tuple[int, int, int, int]) -> Slice:
        """Return the next events from the store, when it is this system's turn."""
        async with self._admission.reading(position.key):
            return await self._run(self._log.reader.read, *wanted, position.where)

    async def _wait(self, seq: int, seconds: float, stop: asyncio.Event | None) -> None:
        """Wait until the log has reached a number, the time is over, or the server stops."""
        reached = asyncio.ensure_future(self._log.watermark.reached(seq, seconds))
        stopped = asyncio.ensure_future((stop or asyncio.Event()).wait())
        try:
            await asyncio.wait((reached, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            reached.cancel()
            stopped.cancel()

    async def _respond(self, request: Request, collected: Collected, token: str) -> Response:
        encoding = body.negotiate(request.headers.get("accept-encoding", ""))
        if collected.size <= _SMALL:  # what follows the log closely does not queue behind others
            whole = _envelope(collected.parts, token, encoding)
        else:
            whole = await self._run(_envelope, collected.parts, token, encoding)
        headers = {"Vary": "Accept-Encoding", "Cache-Control": "no-store"}
        if encoding != "identity":
            headers["Content-Encoding"] = encoding
        return Response(whole, 200, headers, media_type=self._settings.content_type)

    async def _run(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, function, *arguments)


def _envelope(parts: Sequence[Joined], token: str, encoding: body.Encoding) -> bytes:
    """Return the answer's bytes; events are copied once, which counts with tens of megabytes."""
    pieces: list[Joined] = [b'{"events":[']
    for part in parts:
        pieces += (part, b",")
    if parts:
        pieces.pop()
    pieces.append(b'],"continuationToken":"' + token.encode() + b'"}')
    return body.encode(b"".join(pieces), encoding)


def _target(request: Request) -> tuple[str, bytes]:
    """Return the system's id and the raw path behind it; an encoded slash is part of the id."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    system, _, tail = raw.split(b"?", 1)[0].removeprefix(PREFIX.encode()).partition(b"/")
    return unquote(system.decode("latin-1")), tail


def _caller(request: Request, system: str) -> Caller | None:
    certificate: bytes | None = request.scope.get("client_certificate")
    if certificate is None:
        return None
    return Caller(system, web.address(request), certificate)


@lru_cache(maxsize=256)
def _compiled(text: str) -> kedrql.Sql:
    try:
        return kedrql.to_sql(kedrql.parse(text), quoted)
    except KedrqlError as error:
        raise BadRequest(str(error)) from error
