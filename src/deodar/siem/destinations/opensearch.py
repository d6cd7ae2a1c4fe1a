"""Events into an index or data stream of OpenSearch, or Elasticsearch, by ``_bulk``.

A document's ``_id`` is the event's ID and the operation ``create``, so an event that is sent again
is recognised (409) and kept once. What the index refuses for itself, such as a field of another
type, is refused alone and becomes a dead letter; what is too busy is sent again, without the rest.
"""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import httpx
import msgspec

from deodar.columnar.dead_letters import DeadLetter
from deodar.kit.errors import SettingsError
from deodar.siem.connectors.backoff import retry_after
from deodar.siem.destinations import forms
from deodar.siem.destinations.base import (
    Batch,
    CommonSettings,
    Destination,
    Kind,
    Progress,
    read_file,
)
from deodar.siem.destinations.packing import pack
from deodar.siem.destinations.trust import TlsSettings, client_context
from deodar.siem.destinations.urls import Policy, Urls, is_url
from deodar.siem.errors import DestinationUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_RECOGNISED = 409
_MOST_ANSWER = 64 << 20
_TOLD = 300


class OpenSearchSettings(CommonSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`urls` are nodes of one cluster, tried as `policy` says. `index` may have parts of the date,
    as in deodar-%Y.%m.%d, which are those of the event's time; a `data_stream` has none. `form` is
    one of JSON. `password_file` holds the password of `user`; `api_key_file` a key instead.
    """  # noqa: D205

    urls: list[str]
    index: str = "deodar-%Y.%m.%d"
    data_stream: bool = False
    policy: Policy = "any"
    form: Literal["json", "ecs", "ocsf"] = "ecs"
    compression: Literal["none", "gzip"] = "gzip"
    user: str = ""
    password_file: str = ""
    api_key_file: str = ""
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1024, le=100 << 20)] = 5 << 20
    max_events: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 5000
    tls: TlsSettings = TlsSettings()

    def problem(self) -> str:
        """Return what is wrong, or ""."""
        wrong = next((url for url in self.urls if not is_url(url)), None)
        if not self.urls or wrong is not None:
            return f"urls: {wrong!r} is no http or https URL" if self.urls else "urls: give one"
        if (self.index != self.index.lower() and "%" not in self.index) or not self.index.strip(
            "%"
        ):
            return f"index: {self.index!r} cannot name an index: lower case letters only"
        if self.data_stream and "%" in self.index:
            return "index: a data stream has no date in its name"
        if bool(self.user) != bool(self.password_file) or (self.user and self.api_key_file):
            return "user: give user and password_file, or api_key_file, or nothing"
        return self.tls.problem() or super().problem()


class _Item(msgspec.Struct):
    status: int = 0
    error: Any = None


class _Answer(msgspec.Struct):
    items: list[dict[str, _Item]]
    errors: bool = False


Action = tuple[int, bytes, bytes]
"""An event's number in its batch, the line of the operation, and the document."""


class OpenSearchDestination(Destination):
    """One cluster."""

    def __init__(self, settings: OpenSearchSettings, home: Path) -> None:
        self._settings = settings
        self._urls = Urls([url.rstrip("/") for url in settings.urls], settings.policy)
        self._progress = Progress()
        self._left: list[Action] | None = None
        self._letters: list[DeadLetter] = []
        self._client = httpx.AsyncClient(
            verify=client_context(settings.tls, home),
            trust_env=False,
            timeout=settings.timeout,
            headers=_headers(settings, home),
        )

    async def deliver(self, batch: Batch) -> int:
        """Send all events in parts; a new try goes on with what is left of the part in hand."""
        parts = await asyncio.to_thread(self._parts, batch)
        if self._progress.is_new(batch.id):
            self._left, self._letters = None, []
        self._progress.begin(batch.id)
        for part in parts[self._progress.parts :]:
            size = await self._until_none_is_left(part)
            self._progress.partly(size, self._letters)
            self._left, self._letters = None, []
        return self._progress.result()

    async def _until_none_is_left(self, part: list[Action]) -> int:
        """Send a part; raises DestinationUnavailable when some of it must be sent again."""
        if self._left is None:
            self._left = part
        sent = self._left
        answer, size = await self._post(sent)
        busy: list[Action] = []
        reason = ""
        for action, item in zip(sent, answer.items, strict=True):
            outcome = next(iter(item.values()), _Item())
            if outcome.status == 429 or outcome.status >= 500:
                busy.append(action)
                reason = f"{outcome.status}: {_told(outcome.error)}"
            elif not 200 <= outcome.status < 300 and outcome.status != _RECOGNISED:
                text = f"the index refuses it with {outcome.status}: {_told(outcome.error)}"
                self._letters.append(DeadLetter(text, "$", action[0], action[2]))
        self._left = busy
        if busy:
            raise DestinationUnavailable(f"{len(busy)} of {len(sent)} events: {reason}")
        return size

    async def _post(self, actions: list[Action]) -> tuple[_Answer, int]:
        lines = b"".join(b"%s\n%s\n" % (line, document) for _, line, document in actions)
        body = await asyncio.to_thread(pack, lines, self._settings.compression)
        last: DestinationUnavailable | None = None
        for url in self._urls.order():
            try:
                answer = await self._exchange(f"{url}/_bulk", body, len(actions))
            except (httpx.HTTPError, OSError) as error:
                last = DestinationUnavailable(f"{url}: {str(error) or type(error).__name__}")
            except DestinationUnavailable as error:
                last = error
            else:
                self._urls.worked(url)
                return answer, len(body)
            self._urls.failed(url)
        assert last is not None  # noqa: S101 - there is a URL
        raise last

    async def _exchange(self, url: str, body: bytes, count: int) -> _Answer:
        async with self._client.stream("POST", url, content=body) as response:
            told = await _read(response)
        if response.status_code != 200:
            text = told[:_TOLD].decode("utf-8", "replace").strip()
            # Also 4xx here is about the request, not about one event: rights, size, a wrong URL.
            raise DestinationUnavailable(
                f"{url}: answers {response.status_code}: {text}", retry_after(response.headers)
            )
        try:
            answer = msgspec.json.decode(told, type=_Answer)
        except msgspec.MsgspecError as error:
            raise DestinationUnavailable(f"{url}: no answer of _bulk: {error}") from error
        if len(answer.items) != count:
            raise DestinationUnavailable(f"{url}: {len(answer.items)} items for {count} events")
        return answer

    def _parts(self, batch: Batch) -> list[list[Action]]:
        """Return the events in groups that fit into a body; the same batch gives the same."""
        parts: list[list[Action]] = []
        size = 0
        for action in self._actions(batch):
            length = len(action[1]) + len(action[2]) + 2
            full = size + length > self._settings.max_body_bytes
            if not parts or full or len(parts[-1]) == self._settings.max_events:
                parts.append([])
                size = 0
            parts[-1].append(action)
            size += length
        return parts

    def _actions(self, batch: Batch) -> Iterator[Action]:
        wanted = self._settings
        write = forms.FORMS[wanted.form]
        for number, row in enumerate(forms.rows(batch.events)):
            when = datetime.fromtimestamp(row.get("Timestamp", 0) / 1000, UTC)
            target = {"_index": when.strftime(wanted.index), "_id": row["ID"]}
            document = write(row)
            if wanted.data_stream and wanted.form != "ecs":
                stamp = when.isoformat(timespec="milliseconds").encode()
                document = b'{"@timestamp":"%s",%s' % (stamp, document[1:])
            yield number, msgspec.json.encode({"create": target}), document

    async def check(self) -> str:
        """Ask each node who it is; raises DestinationUnavailable unless one answers with 200."""
        told = []
        for url in self._settings.urls:
            try:
                answer = await self._client.get(url)
            except (httpx.HTTPError, OSError) as error:
                told.append((False, f"{url}: {str(error) or type(error).__name__}"))
            else:
                told.append((answer.status_code == 200, f"{url}: answers {answer.status_code}"))
        text = "; ".join(line for _, line in told)
        if not any(good for good, _ in told):
            raise DestinationUnavailable(text)
        return text

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def _read(response: httpx.Response) -> bytes:
    found = bytearray()
    async for piece in response.aiter_bytes():
        found += piece
        if len(found) > _MOST_ANSWER:
            raise DestinationUnavailable(f"{response.url}: an answer of more than 64 MB")
    return bytes(found)


def _told(error: Any) -> str:
    if isinstance(error, dict):
        cause = error.get("caused_by") or {}
        parts = [error.get("type"), error.get("reason"), cause.get("reason")]
        return ": ".join(str(part) for part in parts if part)[:_TOLD]
    return str(error)[:_TOLD]


def _headers(settings: OpenSearchSettings, home: Path) -> dict[str, str]:
    named = {"content-type": "application/x-ndjson"}
    if settings.compression != "none":
        named["content-encoding"] = settings.compression
    if settings.user:
        password = _secret(home, settings.password_file)
        pair = base64.b64encode(f"{settings.user}:{password}".encode()).decode()
        named["authorization"] = f"Basic {pair}"
    elif settings.api_key_file:
        named["authorization"] = f"ApiKey {_secret(home, settings.api_key_file)}"
    return named


def _secret(home: Path, name: str) -> str:
    text = read_file(home, name).decode("utf-8", "replace").strip()
    if not text or not text.isprintable():
        raise SettingsError(f"{home / name} holds no secret")
    return text


KIND = Kind("opensearch", "documents into OpenSearch", OpenSearchSettings, OpenSearchDestination)
