"""What agents call: enrolment, packets of events, synchronization, and a greeting.

Everything but enrolment needs a certificate that this server's authority issued, of an endpoint
that is enrolled and not revoked. That is decided before a byte of a body is read.

* ``POST /agent/v1/enroll``: a one-time token and a certificate request, for a certificate.
* ``POST /agent/v1/packets``: NDJSON, named by ``Deodar-Spool`` and a rising ``Deodar-Packet``;
  answered with 200 when it is durable, also when it was so before. ``Deodar-Packet-First`` tells
  where a packet begins that was put together from several; 409 when only its beginning is there.
* ``POST /agent/v1/sync``: how the agent stands, for the server's policy.
* ``GET /agent/v1/hello``: the server's id and time.

docs/reference/agent-protocol.md has the whole of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from deodar.edr import web
from deodar.edr.database import now_us
from deodar.edr.enrolment import EnrolmentRequest
from deodar.edr.errors import (
    BadRequest,
    EnrolmentRefused,
    LogUnavailable,
    NotThisAgent,
    PartlyTaken,
)
from deodar.edr.ingest import Origin, TooManyEvents
from deodar.edr.synchronization import LARGEST_BODY
from deodar.kit.body import BodyError, BodyMalformed, UnsupportedEncoding, read_body, read_packed
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable

    from starlette.requests import Request

    from deodar.edr.agent_gate import AgentGate
    from deodar.edr.enrolment import Endpoints
    from deodar.edr.ingest import Ingest, Receipt
    from deodar.edr.settings import Ingest as Bounds
    from deodar.edr.synchronization import Synchronization
    from deodar.tls.certificates import Pair

_SPOOL = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_PACKET = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_ENROL_BYTES = 64 << 10

log = logger("edr.agent_api")


class AgentApi:
    """The applications behind ``/agent/v1/``."""

    def __init__(
        self,
        gate: AgentGate,
        endpoints: Endpoints,
        ingest: Ingest,
        synchronization: Synchronization,
        authority: Pair,
        server_id: str,
        bounds: Bounds,
        certificate_days: Callable[[], int],
    ) -> None:
        self._gate = gate
        self._endpoints = endpoints
        self._ingest = ingest
        self._synchronization = synchronization
        self._authority = authority
        self._server_id = server_id
        self._bounds = bounds
        self._certificate_days = certificate_days
        self._large = asyncio.Semaphore(bounds.large_bodies)
        self._small = asyncio.Semaphore(bounds.small_bodies)

    @property
    def routes(self) -> list[Route]:
        """The routes for the server's application."""
        return [
            Route("/agent/v1/enroll", self.enroll, methods=["POST"]),
            Route("/agent/v1/packets", self.packets, methods=["POST"]),
            Route("/agent/v1/sync", self.sync, methods=["POST"]),
            Route("/agent/v1/hello", self.hello, methods=["GET"]),
        ]

    async def hello(self, request: Request) -> Response:
        """Answer an agent's greeting."""
        endpoint = await self._gate.admit(request)
        if not isinstance(endpoint, msgspec.Struct):
            return endpoint
        return web.answer({"server_id": self._server_id, "time_us": now_us()})

    async def enroll(self, request: Request) -> Response:
        """Give an agent its certificate for a one-time token."""
        try:
            body = await self._body(request, request.stream(), _ENROL_BYTES, _ENROL_BYTES)
            asked = web.decode(body, EnrolmentRequest)
            enrolled = await asyncio.to_thread(
                self._endpoints.enroll,
                self._authority,
                asked,
                web.address(request),
                self._certificate_days(),
            )
        except EnrolmentRefused as error:
            log.warning("enrolment_refused", address=web.address(request), reason=str(error))
            return web.refusal(403, str(error))
        except BadRequest as error:
            return web.refusal(400, str(error))
        except BodyError as error:
            return _bad_body(error)
        except ClientDisconnect:
            return Response(status_code=499)
        log.info("endpoint_enrolled", agent_id=enrolled.agent_id, name=asked.host.name)
        return web.answer(enrolled)

    async def packets(self, request: Request) -> Response:
        """Take one packet of events."""
        endpoint = await self._gate.admit(request)
        if not isinstance(endpoint, msgspec.Struct):
            return endpoint
        try:
            origin = _origin(request, endpoint.agent_id)
        except BadRequest as error:
            return web.refusal(400, str(error))
        return await self._take(request, origin)

    async def sync(self, request: Request) -> Response:
        """Take an agent's report and tell it of the policy."""
        endpoint = await self._gate.admit(request, note=False)
        if not isinstance(endpoint, msgspec.Struct):
            return endpoint
        try:
            async with self._room(request):
                body = await self._body(request, request.stream(), LARGEST_BODY, LARGEST_BODY)
                take = self._synchronization.take
                told = await asyncio.to_thread(take, endpoint, body, web.address(request))
        except BadRequest as error:
            return web.refusal(400, str(error))
        except NotThisAgent as error:
            return web.refusal(403, str(error))
        except BodyError as error:
            return _bad_body(error)
        except LogUnavailable as error:
            return _unavailable(error)
        except ClientDisconnect:
            return Response(status_code=499)
        return web.answer(told)

    async def _take(self, request: Request, origin: Origin) -> Response:
        try:
            if (full := self._ingest.would_refuse(origin)) is not None:
                return _unavailable(full)
            async with self._room(request):
                return _receipt(await self._received(request, origin))
        except BodyError as error:
            return _bad_body(error)
        except PartlyTaken as error:
            return web.answer({"error": str(error), "committed": error.committed}, 409)
        except TooManyEvents as error:
            return web.refusal(413, str(error))
        except LogUnavailable as error:
            return _unavailable(error)
        except OSError as error:
            return web.refusal(503, f"Service Unavailable: dead letters cannot be kept: {error}", 5)
        except ClientDisconnect:
            return Response(status_code=499)

    @contextlib.asynccontextmanager
    async def _room(self, request: Request) -> AsyncIterator[None]:
        """Hold one of the places for bodies; raises LogUnavailable when none becomes free."""
        length = request.headers.get("content-length", "")
        small = length.isdecimal() and int(length) <= self._bounds.large_body
        places = self._small if small else self._large
        try:
            async with asyncio.timeout(self._bounds.body_timeout):
                await places.acquire()
        except TimeoutError as error:
            raise LogUnavailable("too many packets come at once", retry_after=1) from error
        try:
            yield
        finally:
            places.release()

    async def _received(self, request: Request, origin: Origin) -> Receipt:
        """Read and take a packet; one that cannot be unpacked becomes a dead letter as it came."""
        bounds = self._bounds
        packed = await read_packed(
            request.stream(),
            request.headers.get("content-encoding"),
            max_wire=bounds.max_packet_wire_bytes,
            max_plain=bounds.max_packet_bytes,
            time_limit=bounds.body_timeout,
        )
        try:
            return await self._ingest.take(origin, packed)
        except BodyMalformed as error:
            log.warning("packet_unreadable", source=origin.source, reason=str(error))
            return await self._ingest.bury(origin, str(error), packed.data)

    async def _body(
        self, request: Request, stream: AsyncIterable[bytes], max_wire: int, max_plain: int
    ) -> bytes:
        return await read_body(
            stream,
            request.headers.get("content-encoding"),
            max_wire=max_wire,
            max_plain=max_plain,
            time_limit=self._bounds.body_timeout,
        )


def _origin(request: Request, agent_id: str) -> Origin:
    """Return what a packet's headers say; raises BadRequest."""
    spool = request.headers.get("deodar-spool", "")
    if not _SPOOL.fullmatch(spool):
        raise BadRequest("Bad Request: the header Deodar-Spool is missing or malformed")
    last = _number(request, "Deodar-Packet")
    first = _number(request, "Deodar-Packet-First", str(last))
    if first > last:
        raise BadRequest("Bad Request: the header Deodar-Packet-First is above Deodar-Packet")
    return Origin(f"{agent_id}/{spool}", last, agent_id, first=first)


def _number(request: Request, name: str, default: str = "") -> int:
    text = request.headers.get(name, default)
    if not _PACKET.fullmatch(text):
        raise BadRequest(f"Bad Request: the header {name} is no positive number")
    return int(text)


def _unavailable(error: LogUnavailable) -> Response:
    return web.refusal(error.status, f"{error.phrase}: {error}", error.retry_after)


def _bad_body(error: BodyError) -> Response:
    # An encoding that is not known is a bad header, which agents are told by 400.
    status = 400 if isinstance(error, UnsupportedEncoding) else error.status
    return web.refusal(status, f"Bad Request: {error}")


def _receipt(receipt: Receipt) -> Response:
    value: dict[str, Any] = {
        "packet": receipt.packet,
        "events": receipt.events,
        "dead": receipt.dead,
    }
    if receipt.duplicate:
        value["duplicate"] = True
    return web.answer(value)
