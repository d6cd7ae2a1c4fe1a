"""Events by HTTP POST: lines of JSON or CEF, or a JSON array, to one of several URLs.

``Deodar-Batch`` names the batch, ``Deodar-Part`` the part of it, ``Idempotency-Key`` both: a repeat
has the same ones. Any 2xx is a receipt. 400, 413, 415 and 422 refuse the content for good; all else
is tried again, after ``Retry-After`` if the answer has one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal

import httpx
import msgspec

from deodar.siem.connectors.backoff import retry_after
from deodar.siem.destinations import forms
from deodar.siem.destinations.base import (
    Batch,
    CommonSettings,
    Destination,
    Kind,
    Progress,
    bearer,
)
from deodar.siem.destinations.packing import Packing, pack
from deodar.siem.destinations.trust import TlsSettings, client_context
from deodar.siem.destinations.urls import Policy, Urls, is_url
from deodar.siem.errors import DestinationRefused, DestinationUnavailable

if TYPE_CHECKING:
    from pathlib import Path

_REFUSED = {400, 413, 415, 422}
_TOLD = 300  # bytes of an answer that an error shows


class HttpSettings(CommonSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`urls` are tried as `policy` says. `layout` is how a body of at most `max_body_bytes` is laid
    out; array needs a form of JSON. `token_file` holds a bearer token. `health_path`, such as
    /health, is asked by the check instead of the URL's own path.
    """  # noqa: D205

    urls: list[str]
    policy: Policy = "any"
    form: forms.Form = "json"
    layout: Literal["lines", "array"] = "lines"
    compression: Packing = "none"
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    token_file: str = ""
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 4 << 20
    health_path: str = ""
    tls: TlsSettings = TlsSettings()

    def problem(self) -> str:
        """Return what is wrong, or ""."""
        if not self.urls:
            return "urls: give at least one"
        wrong = next((url for url in self.urls if not is_url(url)), None)
        if wrong is not None:
            return f"urls: {wrong!r} is no http or https URL"
        if self.layout == "array" and self.form == "cef":
            return "layout: an array needs a form of JSON: json, ecs or ocsf"
        return self.tls.problem() or super().problem()


class HttpDestination(Destination):
    """One service behind one or more URLs."""

    def __init__(self, settings: HttpSettings, home: Path) -> None:
        self._settings = settings
        self._urls = Urls(settings.urls, settings.policy)
        self._progress = Progress()
        self._client = httpx.AsyncClient(
            verify=client_context(settings.tls, home),
            trust_env=False,
            timeout=settings.timeout,
            headers=_headers(settings, home),
        )

    async def deliver(self, batch: Batch) -> int:
        """Post all parts, in order; a new try goes on with the first that is not delivered."""
        bodies = await asyncio.to_thread(self._bodies, batch)
        self._progress.begin(batch.id)
        for number in range(self._progress.parts, len(bodies)):
            rows, body = bodies[number]
            try:
                await self._post(batch.id, number + 1, len(bodies), body)
            except DestinationRefused as error:
                self._progress.refused(rows, str(error))
            else:
                self._progress.delivered(len(body))
        return self._progress.result()

    async def check(self) -> str:
        """Ask each URL; raises DestinationUnavailable unless one answers below 500."""
        told = []
        for url in self._settings.urls:
            path = self._settings.health_path
            asked = str(httpx.URL(url).join(path)) if path else url
            try:
                async with self._client.stream("GET", asked) as answer:
                    await _beginning(answer)
            except (httpx.HTTPError, OSError) as error:
                told.append((False, f"{asked}: {str(error) or type(error).__name__}"))
            else:
                good = answer.status_code < (300 if path else 500)
                told.append((good, f"{asked}: answers {answer.status_code}"))
        text = "; ".join(line for _, line in told)
        if not any(good for good, _ in told):
            raise DestinationUnavailable(text)
        return text

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _bodies(self, batch: Batch) -> list[tuple[int, bytes]]:
        """Return (events, packed body) of each part."""
        lines = forms.render(self._settings.form, batch.events)
        joined = _array if self._settings.layout == "array" else forms.ndjson
        return [
            (len(group), pack(joined(group), self._settings.compression))
            for group in forms.chunks(lines, self._settings.max_body_bytes)
        ]

    async def _post(self, batch_id: str, number: int, parts: int, body: bytes) -> None:
        headers = {
            "deodar-batch": batch_id,
            "deodar-part": f"{number}/{parts}",
            "idempotency-key": f'"{batch_id}-{number}"',
        }
        last: DestinationUnavailable | None = None
        for url in self._urls.order():
            try:
                async with self._client.stream(
                    "POST", url, content=body, headers=headers
                ) as answer:
                    _judge(url, answer, await _beginning(answer))
            except (httpx.HTTPError, OSError) as error:
                last = DestinationUnavailable(f"{url}: {str(error) or type(error).__name__}")
            except DestinationUnavailable as error:
                last = error
            else:
                self._urls.worked(url)
                return
            self._urls.failed(url)
        assert last is not None  # noqa: S101 - there is a URL
        raise last


async def _beginning(answer: httpx.Response) -> str:
    """Return the beginning of an answer; a long one is not read on, and its connection closed."""
    found = b""
    async for piece in answer.aiter_raw(_TOLD):
        found += piece
        if len(found) >= _TOLD:
            break
    return found[:_TOLD].decode("utf-8", "replace").strip()


def _judge(url: str, answer: httpx.Response, told: str) -> None:
    if answer.is_success:
        return
    text = f"{url}: answers {answer.status_code}: {told}".rstrip(": ")
    if answer.status_code in _REFUSED:
        raise DestinationRefused(text)
    raise DestinationUnavailable(text, retry_after(answer.headers))


def _array(lines: list[bytes]) -> bytes:
    return b"[" + b",".join(lines) + b"]"


def _headers(settings: HttpSettings, home: Path) -> dict[str, str]:
    named = {
        "content-type": {"lines": "application/x-ndjson", "array": "application/json"}[
            settings.layout
        ]
    }
    if settings.form == "cef":
        named["content-type"] = "text/plain; charset=utf-8"
    if settings.compression != "none":
        named["content-encoding"] = settings.compression
    if settings.token_file:
        named["authorization"] = bearer(home, settings.token_file)
    return {**named, **{key.lower(): value for key, value in settings.headers.items()}}


KIND = Kind("http", "POST of lines or an array to URLs", HttpSettings, HttpDestination)
