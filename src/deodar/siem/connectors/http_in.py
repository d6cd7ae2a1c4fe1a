"""Events by HTTP POST: lines, or a JSON array. 200 is the receipt: they are durable then.

A request with an ``Idempotency-Key`` that was taken before, with the same body, is answered like
the first time and taken once; the last keys are kept with the state, over restarts. Without a key
a sender that got no answer sends its events again, and they come twice. While the journal is full
the answer is 503, when too much waits in memory 429, both with ``Retry-After``: nothing is lost
that was not refused. Bodies may be packed by gzip or zstd.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from deodar.kit.body import BodyError, read_body
from deodar.kit.errors import SettingsError
from deodar.kit.listeners import listening
from deodar.kit.logging import logger
from deodar.kit.serve import Endpoint
from deodar.siem.connectors.base import (
    LONGEST_EVENT,
    Connector,
    ConnectorSettings,
    EventBytes,
    Kind,
)
from deodar.siem.connectors.gathering import Gatherer
from deodar.siem.connectors.listening import (
    GatherSeconds,
    ListenTls,
    Port,
    address_problem,
    peer_address,
    server_context,
)
from deodar.siem.connectors.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

    from deodar.siem.connectors.base import Sink

_SHORTEST_TOKEN = 16
_LONGEST_KEY = 255
_KEYS = 256
_log = logger("siem.connector")


class HttpInSettings(
    ConnectorSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="http"
):
    """Events are posted to `path`. `token_file` holds bearer tokens, a line each, of which a sender
    must have one; with `tls.client_ca` it must have a certificate. `layout` is how a body is laid
    out; with `auto` a body of the type application/json is an array or one object. An answer comes
    within `answer_seconds`.
    """  # noqa: D205

    host: str = "127.0.0.1"
    port: Port
    path: Annotated[str, msgspec.Meta(pattern=r"^/[!-~]*$")] = "/events"
    layout: Literal["auto", "lines", "array"] = "auto"
    token_file: str = ""
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1024, le=64 << 20)] = 16 << 20
    max_event_bytes: EventBytes = LONGEST_EVENT
    max_requests: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 64
    answer_seconds: Annotated[float, msgspec.Meta(ge=0.1, le=600)] = 30.0
    gather_seconds: GatherSeconds = 0.05
    tls: ListenTls = ListenTls()

    @property
    def largest_record(self) -> int:
        """Bytes of a full memory and one more body."""
        return self.max_body_bytes + (8 << 20)

    def problem(self) -> str:
        """Return "key: what is wrong", or ""."""
        return address_problem(self.host) or self.tls.problem() or super().problem()


class HttpInConnector(Connector):
    """The ASGI application that the collector serves."""

    def __init__(self, settings: HttpInSettings, home: Path, sink: Sink) -> None:
        self._settings = settings
        self._sink = sink
        self._tokens = _tokens(settings, home)
        self._context = server_context(settings.tls, home)
        scheme = "https" if self._context else "http"
        self._where = f"{scheme}://{settings.host}:{settings.port}{settings.path}"
        self._gatherer = Gatherer(
            sink, self._where, settings.character_encoding, settings.gather_seconds, self._advance
        )
        self._keys = Keys(None)
        self._in_hand: dict[str, asyncio.Task[None]] = {}
        self._requests = 0

    def endpoints(self) -> list[Endpoint]:
        """Return the listener."""
        app: Any = self
        return [Endpoint(app, self._settings.host, self._settings.port, tls=self._context)]

    async def run(self, state: str | None) -> None:
        """Make durable what is posted, until cancelled."""
        self._keys = Keys(state)
        if not self._tokens and not self._settings.tls.client_ca:
            _log.warning("anybody who reaches the port may send events", where=self._where)
        self._sink.changed(Status("green", f"listening on {self._where}"))
        async with self._gatherer.running() as gathering:
            await gathering

    def begin_anew(self) -> None:
        """Forget the keys of requests that were taken."""
        self._keys = Keys(None)

    async def check(self) -> str:
        """Take the address for a moment; raises ServeError."""
        with listening(self._settings.host, self._settings.port, None):
            return f"{self._where} is free"

    def _advance(self, marks: Sequence[str]) -> tuple[str | None, str | None]:
        before = self._keys.state()
        self._keys.add(marks)
        return before, self._keys.state()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            response = await self._answer(Request(scope, receive))
            await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.url.path == "/health":
            return _busy(self._sink.hindrance) if self._sink.hindrance else _text(200, "ok")
        if request.url.path != self._settings.path:
            return _text(404, f"there is nothing here; events go to {self._settings.path}")
        if request.method != "POST":
            return _text(405, "only POST is known here")
        if not self._is_known(request.headers.get("authorization", "")):
            self._sink.count("unauthorized")
            return _text(401, "a bearer token is needed", {"www-authenticate": "Bearer"})
        if self._sink.hindrance:
            self._sink.count("turned_away")
            return _busy(self._sink.hindrance)
        if self._gatherer.is_full or self._requests >= self._settings.max_requests:
            self._sink.count("turned_away")
            return _text(429, "too much waits already", {"retry-after": "1"})
        self._requests += 1
        try:
            return await self._take(request)
        finally:
            self._requests -= 1

    def _is_known(self, header: str) -> bool:
        if not self._tokens:
            return True
        scheme, _, token = header.partition(" ")
        given = token.strip().encode("utf-8", "replace")
        known = [hmac.compare_digest(given, one) for one in self._tokens]
        return scheme.lower() == "bearer" and any(known)

    async def _take(self, request: Request) -> Response:
        largest = self._settings.max_body_bytes
        try:
            body = await read_body(
                request.stream(),
                request.headers.get("content-encoding"),
                max_wire=largest,
                max_plain=largest,
            )
            events = await asyncio.to_thread(self._events, request, body)
        except ClientDisconnect:
            return _text(400, "the client went away")
        except BodyError as error:
            return _text(error.status, str(error))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return _text(400, f"the body is no JSON array and no object: {error}")
        longest = max(map(len, events), default=0)
        if longest > self._settings.max_event_bytes:
            allowed = self._settings.max_event_bytes
            return _text(413, f"an event of {longest} bytes; {allowed} are allowed")
        key = request.headers.get("idempotency-key", "")
        return await self._keep(peer_address(request.client), events, mark_of(key, body))

    def _events(self, request: Request, body: bytes) -> list[bytes]:
        layout = self._settings.layout
        if layout == "auto":
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            layout = "array" if kind == "application/json" else "lines"
        if layout == "lines":
            return [line for line in (part.rstrip(b"\r") for part in body.split(b"\n")) if line]
        if body.lstrip()[:1] == b"[":
            return [bytes(one) for one in msgspec.json.decode(body, type=list[msgspec.Raw])]
        msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        return [body]

    async def _keep(self, source: str, events: list[bytes], mark: str) -> Response:
        if not events:
            return _accepted(0)
        if mark and mark in self._keys:
            self._sink.count("repeats")
            return _accepted(len(events))
        task = self._in_hand.get(mark) if mark else None
        if task is None:
            task = asyncio.create_task(self._gatherer.add_durably(source, events, mark))
            if mark:
                self._in_hand[mark] = task
                task.add_done_callback(lambda _task: self._in_hand.pop(mark, None))
        try:
            async with asyncio.timeout(self._settings.answer_seconds):
                await asyncio.shield(task)
        except TimeoutError:
            self._sink.count("turned_away")
            return _busy(self._sink.hindrance or "the events could not be made durable in time")
        return _accepted(len(events))


class Keys:
    """The marks of the last requests that were taken, oldest first."""

    def __init__(self, state: str | None) -> None:
        try:
            known = msgspec.json.decode(state or "[]", type=list[str])
        except msgspec.MsgspecError:
            known = []
        self._state = state
        self._marks = OrderedDict.fromkeys(known)

    def __contains__(self, mark: str) -> bool:
        return mark in self._marks

    def add(self, marks: Sequence[str]) -> None:
        """Remember more, and forget the oldest beyond the number that is kept."""
        self._marks.update(dict.fromkeys(marks))
        while len(self._marks) > _KEYS:
            self._marks.popitem(last=False)
        self._state = msgspec.json.encode(list(self._marks)).decode() if self._marks else None

    def state(self) -> str | None:
        """Return them as text; None before the first."""
        return self._state


def mark_of(key: str, body: bytes) -> str:
    """Return what a request is known by again; "" without a usable key."""
    if not key or len(key) > _LONGEST_KEY:
        return ""
    digest = hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=12)
    digest.update(hashlib.blake2b(body, digest_size=12).digest())
    return digest.hexdigest()


def _tokens(settings: HttpInSettings, home: Path) -> tuple[bytes, ...]:
    if not settings.token_file:
        return ()
    path = home / settings.token_file
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    tokens = tuple(line.strip() for line in lines if line.strip() and not line.startswith(b"#"))
    if not tokens or min(map(len, tokens)) < _SHORTEST_TOKEN:
        raise SettingsError(
            f"{path}: give tokens of {_SHORTEST_TOKEN} characters or more, a line each"
        )
    return tokens


def _text(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(f"{text}\n", status, dict(headers or {}), "text/plain; charset=utf-8")


def _busy(text: str) -> Response:
    return _text(503, text, {"retry-after": "10"})


def _accepted(count: int) -> Response:
    return Response(msgspec.json.encode({"accepted": count}), 200, media_type="application/json")


def _facts(settings: HttpInSettings, _home: Path) -> Mapping[str, str]:
    scheme = "https" if settings.tls.certificate else "http"
    return {"listens_on": f"{scheme}://{settings.host}:{settings.port}{settings.path}"}


KIND = Kind(
    "http",
    "events that are posted to the collector",
    HttpInSettings,
    HttpInConnector,
    lambda settings, _home: f"http:{settings.host}:{settings.port}{settings.path}",
    _facts,
)
