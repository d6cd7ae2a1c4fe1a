"""The store over ClickHouse's own HTTP protocol, so that ClickHouse's clients can read it.

One user, who may read; with `allow_writes` also change tables, but nothing outside the store. What
is spoken and what is not is told in docs/reference/clickhouse-front.md.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from deodar.kit.body import BodyError
from deodar.kit.errors import DeodarError
from deodar.store.engine import Limits
from deodar.store.errors import READ_ONLY, SYNTAX, QueryError, QueryLimit
from deodar.store.front_auth import Authenticator
from deodar.store.front_body import read
from deodar.store.front_reply import AUTHENTICATION_FAILED, BAD_ARGUMENTS, failure, result
from deodar.store.front_request import FrontQuery, credentials, understand
from deodar.store.parameters import Encoded
from deodar.store.permissions import check_changing
from deodar.store.statements import is_insert, output_format, split_insert

if TYPE_CHECKING:
    from starlette.requests import Request

    from deodar.store.engine import Engine

_BOUNDED: Final = ("max_execution_time", "max_result_rows", "max_result_bytes", "max_memory_usage")
_CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Type, X-ClickHouse-User, X-ClickHouse-Key, X-ClickHouse-Format"
    ),
    "Access-Control-Max-Age": "86400",
}


@dataclass(frozen=True)
class FrontSettings:
    """Who may use the front, for what, and how much of it.

    Attributes:
        user: the one user's name.
        password_hash: as `deodar.store.front_auth.hash_password` makes it.
        allow_writes: whether tables may be changed; otherwise they can only be read.
        max_body: bytes of a request's body, unpacked.
        max_result: bytes of a result, before packing.
        max_seconds: time that one statement may run.
        max_memory: bytes of memory that one statement may use.
        queries_at_once: statements that run side by side; more wait.
    """

    user: str
    password_hash: str
    allow_writes: bool = False
    max_body: int = 64 << 20
    max_result: int = 256 << 20
    max_seconds: float = 60.0
    max_memory: int = 2 << 30
    queries_at_once: int = 8


def front_app(engine: Engine, settings: FrontSettings) -> Starlette:
    """Return the ASGI application that serves `engine`.

    Raises StoreError when the settings' password hash cannot be used.
    """
    front = _Front(engine, settings)
    return Starlette(
        routes=[
            Route("/", front.query, methods=["GET", "HEAD", "POST"]),
            Route("/", front.options, methods=["OPTIONS"]),
            Route("/ping", front.ping, methods=["GET", "HEAD"]),
            Route("/replicas_status", front.ping, methods=["GET", "HEAD"]),
        ]
    )


class _Front:
    def __init__(self, engine: Engine, settings: FrontSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._authenticator = Authenticator(settings.user, settings.password_hash)
        self._proving = asyncio.Semaphore(1)  # a proof takes 16 MB and 50 ms: one at a time
        self._running = asyncio.Semaphore(settings.queries_at_once)

    async def ping(self, _request: Request) -> Response:
        """Answer that the server is there; asks nothing of the caller, as ClickHouse does."""
        return PlainTextResponse("Ok.\n")

    async def options(self, _request: Request) -> Response:
        """Answer a browser's question before a request of another origin."""
        return Response(status_code=204, headers=_CORS)

    async def query(self, request: Request) -> Response:
        """Run the request's statement."""
        try:
            if not await self._may_enter(request):
                return _stranger()
            body = await self._body(request)
        except BodyError as error:
            return failure(error, status=error.status)
        if not body and "query" not in request.query_params:
            return PlainTextResponse("Ok.\n")
        return await self._answer(request, body)

    async def _may_enter(self, request: Request) -> bool:
        shown = credentials(request.headers, request.query_params)
        if self._authenticator.remembers(shown):
            return True
        async with self._proving:
            return await asyncio.to_thread(self._authenticator.proves, shown)

    async def _body(self, request: Request) -> bytes:
        encoding = request.headers.get("content-encoding")
        return await read(request.stream(), encoding, self._settings.max_body)

    async def _answer(self, request: Request, body: bytes) -> Response:
        # A GET must change nothing (RFC 9110), so a link cannot.
        changing = self._settings.allow_writes and request.method == "POST"
        query_id = ""
        try:
            pairs = request.query_params.multi_items()
            query = understand(pairs, request.headers, body, changing=changing)
            query_id = query.query_id
            changing = changing and not query.readonly
            started = time.monotonic()
            async with self._running:
                data, name = await asyncio.to_thread(self._run, query, changing=changing)
        except DeodarError as error:
            return failure(error, query_id=query_id)
        accept = _accepted(request)
        seconds = time.monotonic() - started
        reply = result(data, name, query_id=query_id, accept=accept, seconds=seconds)
        if query.cors:
            reply.headers.update(_CORS)
        return reply

    def _run(self, query: FrontQuery, *, changing: bool) -> tuple[bytes, str]:
        """Return the result's bytes and the name of its format."""
        limits = self._limits(query)
        if is_insert(query.text):
            return self._insert(query, limits, changing=changing), query.format
        sql = _utf8(query.text)
        statement = check_changing(sql) if changing else sql
        data = self._engine.raw(
            statement,
            query.format,
            {name: Encoded(value) for name, value in query.parameters.items()},
            limits=limits,
            readonly=not changing,
            database=query.database,
        )
        if len(data) > self._settings.max_result:
            raise QueryLimit(396, f"the result is larger than {self._settings.max_result} bytes")
        return data, output_format(statement) or query.format

    def _insert(self, query: FrontQuery, limits: Limits, *, changing: bool) -> bytes:
        if not changing:
            raise QueryError(READ_ONLY, "this front only reads (or: send changes by POST)")
        rows = split_insert(query.text)
        if rows is None:
            statement = check_changing(_utf8(query.text))
            bound = {name: Encoded(value) for name, value in query.parameters.items()}
            return self._engine.raw(
                statement, "Null", bound, limits=limits, readonly=False, database=query.database
            )
        check_changing(rows.head)
        self._engine.insert_encoded(rows, limits=limits, database=query.database)
        return b""

    def _limits(self, query: FrontQuery) -> Limits:
        """Return the query's own limits, but never above the front's."""
        own = self._settings
        ceilings = (own.max_seconds, None, own.max_result, own.max_memory)
        settings = dict(query.settings)
        asked = [_number(name, settings.pop(name, "")) for name in _BOUNDED]
        seconds, rows, size, memory = map(_lower, asked, ceilings)
        return Limits(
            max_seconds=seconds,
            max_rows=None if rows is None else int(rows),
            max_bytes=None if size is None else int(size),
            max_memory=None if memory is None else int(memory),
            settings=settings,
        )


def _number(name: str, text: str) -> float | None:
    """Return a limit's value; 0 and nothing mean that none was asked for."""
    try:
        value = float(text or 0)
    except ValueError:
        raise QueryError(BAD_ARGUMENTS, f"{name} is a number, not {text[:40]!r}") from None
    if not 0 <= value < 2**63:
        raise QueryError(BAD_ARGUMENTS, f"{name} is out of range")
    return value or None


def _lower(asked: float | None, ceiling: float | None) -> float | None:
    return min((limit for limit in (asked, ceiling) if limit is not None), default=None)


def _accepted(request: Request) -> str:
    """Return the encodings that the client takes, if it asked for packing as ClickHouse has it."""
    asked = request.query_params.get("enable_http_compression", "0")
    return request.headers.get("accept-encoding", "") if asked not in {"", "0", "false"} else ""


def _utf8(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise QueryError(SYNTAX, f"the statement is not UTF-8 at byte {error.start}") from None


def _stranger() -> Response:
    error = QueryError(
        AUTHENTICATION_FAILED,
        "Authentication failed: password is incorrect, or there is no such user",
    )
    return failure(error, status=401)
