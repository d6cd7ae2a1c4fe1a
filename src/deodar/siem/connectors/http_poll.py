"""Events of any service with an HTTP API that is asked again and again.

The cursor, by which the service knows what comes next, is kept with the events in the collector's
journal, so each answer is taken exactly once; it is a value in the answer, in its last event or in
a header, or the URL of a Link header. Without one an answer that is the same as the last is not
taken again. A cursor that stays while events come is told, and those events are not taken twice.
"""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import httpx
import msgspec

from deodar.kit.body import BodyError, read_body
from deodar.kit.logging import logger
from deodar.siem.connectors.backoff import Backoff, retry_after
from deodar.siem.connectors.base import (
    LONGEST_EVENT,
    ConnectorSettings,
    EventBytes,
    Handover,
    Kind,
    Seconds,
)
from deodar.siem.connectors.framing import FRAMES, Group, pack
from deodar.siem.connectors.http_poll_answer import (
    Answer,
    Cursor,
    Place,
    Unreadable,
    digest,
    json_answer,
    next_link,
)
from deodar.siem.connectors.restarting import RestartingConnector
from deodar.siem.connectors.status import Status
from deodar.siem.destinations.base import bearer
from deodar.siem.destinations.trust import TlsSettings, client_context
from deodar.siem.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deodar.siem.connectors.base import Sink

_BACKOFF = Backoff(first=1.0, longest=300.0)
_ERRORS_UNTIL_YELLOW = 2
_TOLD = 300  # characters of an error answer that are shown
_log = logger("siem.connector")


class HttpPollSettings(
    ConnectorSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="http-poll"
):
    """`url` is asked with `params` and `headers` every `interval_seconds`, and at once while there
    is more. `events_path` leads to the list of events in JSON, empty for the whole answer; `layout`
    lines takes each line. `cursor` says where the next cursor is found: at `cursor_path` of the
    answer (json) or of its last event (event), in the header of that name, or in a Link header;
    it is sent as the parameter `cursor_param`, the first time `start_cursor`. `more_path` leads to
    a value that is true while there is more. `token_file` holds a bearer token.
    """  # noqa: D205

    url: str
    params: dict[str, str] = msgspec.field(default_factory=dict)
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    token_file: str = ""
    interval_seconds: Seconds = 30.0
    timeout: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 60.0
    layout: Literal["json", "lines"] = "json"
    events_path: str = ""
    cursor: Cursor = "none"
    cursor_path: str = ""
    cursor_param: str = "cursor"
    start_cursor: str = ""
    more_path: str = ""
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1024, le=256 << 20)] = 32 << 20
    max_event_bytes: EventBytes = LONGEST_EVENT
    tls: TlsSettings = TlsSettings()

    @property
    def largest_record(self) -> int:
        """Bytes of the largest answer that is taken."""
        return 2 * self.max_body_bytes

    def problem(self) -> str:
        """Return "key: what is wrong", or ""."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return f"url: {self.url!r} is no http or https URL"
        if self.cursor in ("json", "event", "header") and not self.cursor_path:
            return f"cursor_path: say where the cursor is ({self.cursor})"
        if self.layout == "lines" and self.cursor in ("json", "event"):
            return f"cursor: {self.cursor} is for answers of JSON; lines can have header or link"
        return self.tls.problem() or super().problem()


class _Refused(Exception):  # noqa: N818
    """The service did not give events; `wait` is its wish in seconds."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class HttpPollConnector(RestartingConnector):
    """Asks one URL."""

    def __init__(self, settings: HttpPollSettings, home: Path, sink: Sink) -> None:
        super().__init__()
        self._settings = settings
        self._headers = _headers(settings, home)
        self._context = client_context(settings.tls, home)
        self._sink = sink
        self._random = Random()  # noqa: S311 - jitter is no secret
        self._state: str | None = None

    async def take(self, state: str | None) -> None:
        """Ask from `state` on until cancelled; errors of the service are waited out."""
        self._state = state
        failures = 0
        async with self._client() as client:
            while True:
                try:
                    wait = 0.0 if await self._ask(client) else self._settings.interval_seconds
                    failures = 0
                except (_Refused, Unreadable, BodyError, httpx.HTTPError, OSError) as error:
                    failures += 1
                    wait = self._failed(error, failures)
                await asyncio.sleep(wait)

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=self._context,
            trust_env=False,
            follow_redirects=False,
            timeout=self._settings.timeout,
            headers=self._headers,
        )

    def _failed(self, error: Exception, failures: int) -> float:
        """Tell of an error; returns how long to wait."""
        reason = f"{self._settings.url}: {str(error) or type(error).__name__}"
        self._sink.count("errors")
        _log.warning("the service cannot be asked", reason=reason, failures=failures)
        if failures >= _ERRORS_UNTIL_YELLOW or isinstance(error, Unreadable):
            self._sink.changed(Status("yellow", reason))
        asked = error.wait if isinstance(error, _Refused) else None
        return max(_BACKOFF.delay(failures, self._random), asked or 0.0)

    async def _ask(self, client: httpx.AsyncClient) -> bool:
        """Ask once; returns whether to ask again at once."""
        place = _read(self._state)
        headers, body = await self._exchange(client, place)
        answer = self._understood(headers, body)
        page = digest(body)
        link = ""
        if self._settings.cursor == "link":
            link = next_link(headers.get("link", ""), place.url or self._settings.url)
        fresh = self._fresh(place, answer, page, link)
        self._sink.changed(Status("green", f"asking {self._settings.url}"))
        if fresh is None:
            return False
        events, after = fresh
        await self._hand_over(events, after)
        return bool(answer.more or link or (answer.cursor and events))

    def _fresh(
        self, place: Place, answer: Answer, page: str, link: str
    ) -> tuple[list[bytes], Place] | None:
        """Return the events that were not taken yet and the place behind them, None for none."""
        kind = self._settings.cursor
        if kind == "link":
            events = answer.events[place.taken :]
            here = Place(url=place.url, page=page, taken=len(answer.events))
            return events, (Place(url=link) if link else here)
        if kind == "none":
            return None if page == place.page else (answer.events, Place(page=page))
        if not answer.cursor:
            if answer.events and page != place.page:
                return answer.events, Place(cursor=place.cursor, page=page)
            return None
        if answer.cursor != place.cursor:
            return answer.events, Place(cursor=answer.cursor)
        if answer.events:
            self._sink.count("repeats", len(answer.events))
            raise Unreadable("the cursor stays the same while events come")
        return None

    async def _exchange(
        self, client: httpx.AsyncClient, place: Place
    ) -> tuple[Mapping[str, str], bytes]:
        wanted = self._settings
        params = dict(wanted.params)
        cursor = place.cursor or wanted.start_cursor
        if cursor and wanted.cursor != "link":
            params[wanted.cursor_param] = cursor
        url = httpx.URL(place.url) if place.url else httpx.URL(wanted.url).copy_merge_params(params)
        async with (
            asyncio.timeout(wanted.timeout),
            client.stream("GET", url) as response,
        ):
            largest = wanted.max_body_bytes
            body = await read_body(
                response.aiter_raw(),
                response.headers.get("content-encoding"),
                max_wire=largest,
                max_plain=largest,
                time_limit=None,
            )
        named = {name.lower(): value for name, value in response.headers.items()}
        if response.status_code not in (200, 204):
            told = body[:_TOLD].decode("utf-8", "replace").strip()
            raise _Refused(f"answers {response.status_code}: {told}", retry_after(named))
        return named, body

    def _understood(self, headers: Mapping[str, str], body: bytes) -> Answer:
        wanted = self._settings
        header = headers.get(wanted.cursor_path.lower(), "") if wanted.cursor == "header" else ""
        if wanted.layout == "lines" or not body:
            lines = [line.rstrip(b"\r") for line in body.split(b"\n")]
            return Answer([line for line in lines if line], header)
        answer = json_answer(
            body, wanted.events_path, wanted.cursor, wanted.cursor_path, wanted.more_path
        )
        return msgspec.structs.replace(answer, cursor=header) if header else answer

    async def _hand_over(self, events: list[bytes], place: Place) -> None:
        wanted = self._settings
        for event in events:
            if len(event) > wanted.max_event_bytes:
                self._sink.count("too_long")
                reason = f"an event longer than {wanted.max_event_bytes} bytes"
                await self._sink.keep_aside(wanted.url, reason, event)
        good = [event for event in events if len(event) <= wanted.max_event_bytes]
        after = msgspec.json.encode(place).decode()
        if after == self._state:
            return
        handover = Handover(
            pack([Group(wanted.url, time.time_ns() // 1000, good)]),
            FRAMES,
            wanted.url,
            self._state,
            after,
            has_events=bool(good),
            encoding=wanted.character_encoding,
        )
        await asyncio.shield(self._sink.put(handover))
        self._state = after

    async def check(self) -> str:
        """Ask once, and say what came; nothing is taken."""
        try:
            async with self._client() as client:
                headers, body = await self._exchange(client, _read(None))
                answer = self._understood(headers, body)
        except (_Refused, Unreadable, BodyError, httpx.HTTPError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise ConnectorError(f"{self._settings.url}: {reason}") from error
        return f"{self._settings.url}: an answer with {len(answer.events)} events"


def _read(state: str | None) -> Place:
    try:
        return msgspec.json.decode(state or "{}", type=Place)
    except msgspec.MsgspecError as error:
        _log.error("the cursor is not readable: asking from the beginning", reason=str(error))
        return Place()


def _headers(settings: HttpPollSettings, home: Path) -> dict[str, str]:
    named = {"accept-encoding": "zstd, gzip"}
    if settings.token_file:
        named["authorization"] = bearer(home, settings.token_file)
    return {**named, **{key.lower(): value for key, value in settings.headers.items()}}


KIND = Kind(
    "http-poll",
    "events of a service that is asked over HTTP",
    HttpPollSettings,
    HttpPollConnector,
    lambda settings, _home: f"http-poll:{digest(settings.url.encode())}",
    lambda settings, _home: {"url": settings.url},
)
