"""What the server's HTTP applications share: error answers, the caller's address, waiting."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.responses import Response

from deodar.edr.errors import BadRequest
from deodar.kit.body import read_body

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.requests import Request

T = TypeVar("T")
_LONGEST_REASON = 500
_BODY_SECONDS = 30.0


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(
        msgspec.json.encode(value), status, headers=headers, media_type="application/json"
    )


def refusal(status: int, text: str, retry_after: int | None = None) -> Response:
    """Return an error answer ``{"error": text}``, perhaps with Retry-After in seconds."""
    headers = None if retry_after is None else {"Retry-After": str(retry_after)}
    return answer({"error": text}, status, headers)


async def body_of(request: Request, largest: int) -> bytes:
    """Return a request's body, unpacked; raises BodyError for one too large, late or malformed."""
    return await read_body(
        request.stream(),
        request.headers.get("content-encoding"),
        max_wire=largest,
        max_plain=largest,
        time_limit=_BODY_SECONDS,
    )


def decode(body: bytes, kind: type[T]) -> T:
    """Return a JSON body as `kind`; raises BadRequest, also for one that is nested too deeply."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"Bad Request: {str(error)[:_LONGEST_REASON]}") from error
    except RecursionError as error:
        raise BadRequest("Bad Request: the JSON is nested too deeply") from error


def address(request: Request) -> str:
    """Return the peer's address; an IPv4 address in IPv6 clothes as IPv4."""
    text = request.client.host if request.client else ""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return text[:64]
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """Run `work` and return its result; when the client goes first, stop it and return None."""
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for one in (task, watch):
            one.cancel()
        for one in (task, watch):
            with contextlib.suppress(asyncio.CancelledError):
                await one


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
