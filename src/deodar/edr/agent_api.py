"""What agents call: enrolment, packets of events, and a greeting.

Everything but enrolment needs a certificate that this server's authority issued, of an endpoint
that is enrolled and not revoked. That is decided before a byte of a body is read.

* ``POST /agent/v1/enroll``: a one-time token and a certificate request, for a certificate.
* ``POST /agent/v1/packets``: NDJSON, named by ``Deodar-Spool`` and a rising ``Deodar-Packet``;
  answered with 200 when it is durable, also when it was so before.
* ``GET /agent/v1/hello``: the server's id and time.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from deodar.edr import web
from deodar.edr.database import now_us
from deodar.edr.enrolment import ENROLLED, EnrolmentRequest
from deodar.edr.errors import EnrolmentRefused, LogUnavailable
from deodar.edr.ingest import Origin, TooManyEvents
from deodar.kit.body import BodyError, BodyMalformed, UnsupportedEncoding, read_body
from deodar.kit.logging import logger
from deodar.tls.certificates import CertificateProblem, Purpose, check_issued, fingerprint

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

    from starlette.requests import Request

    from deodar.edr.enrolment import Endpoint, Endpoints
    from deodar.edr.ingest import Ingest, Receipt
    from deodar.edr.settings import Ingest as Bounds
    from deodar.tls.certificates import Pair

_SPOOL = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_PACKET = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_AGENT = re.compile(r"deodar-agent/([0-9A-Za-z.+-]{1,64})", re.ASCII)
_CHECKED_FOR = 60.0
_CHECKED_MOST = 4096
_ENROL_BYTES = 64 << 10

log = logger("edr.agent_api")


class AgentApi:
    """The applications behind ``/agent/v1/``."""

    def __init__(
        self, endpoints: Endpoints, ingest: Ingest, authority: Pair, server_id: str, bounds: Bounds
    ) -> None:
        self._endpoints = endpoints
        self._ingest = ingest
        self._authority = authority
        self._server_id = server_id
        self._bounds = bounds
        self._checked: dict[str, tuple[float, CertificateProblem | None]] = {}
        self._large = asyncio.Semaphore(bounds.large_bodies)
        self._small = asyncio.Semaphore(bounds.small_bodies)

    @property
    def routes(self) -> list[Route]:
        """The routes for the server's application."""
        return [
            Route("/agent/v1/enroll", self.enroll, methods=["POST"]),
            Route("/agent/v1/packets", self.packets, methods=["POST"]),
            Route("/agent/v1/hello", self.hello, methods=["GET"]),
        ]

    async def hello(self, request: Request) -> Response:
        """Answer an agent's greeting."""
        endpoint = await self._identify(request)
        if not isinstance(endpoint, msgspec.Struct):
            return endpoint
        return web.answer({"server_id": self._server_id, "time_us": now_us()})

    async def enroll(self, request: Request) -> Response:
        """Give an agent its certificate for a one-time token."""
        try:
            body = await self._body(request, request.stream(), _ENROL_BYTES, _ENROL_BYTES)
            asked = msgspec.json.decode(body, type=EnrolmentRequest)
            enrolled = await asyncio.to_thread(
                self._endpoints.enroll, self._authority, asked, web.address(request)
            )
        except EnrolmentRefused as error:
            log.warning("enrolment_refused", address=web.address(request), reason=str(error))
            return web.refusal(403, str(error))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return web.refusal(400, f"Bad Request: {error}")
        except BodyError as error:
            return _bad_body(error)
        except ClientDisconnect:
            return Response(status_code=499)
        log.info("endpoint_enrolled", agent_id=enrolled.agent_id, name=asked.host.name)
        return web.answer(enrolled)

    async def packets(self, request: Request) -> Response:
        """Take one packet of events."""
        endpoint = await self._identify(request)
        if not isinstance(endpoint, msgspec.Struct):
            return endpoint
        spool = request.headers.get("deodar-spool", "")
        number = request.headers.get("deodar-packet", "")
        if not _SPOOL.fullmatch(spool):
            return web.refusal(400, "Bad Request: the header Deodar-Spool is missing or malformed")
        if not _PACKET.fullmatch(number):
            return web.refusal(400, "Bad Request: the header Deodar-Packet is no positive number")
        agent_id = endpoint.agent_id
        return await self._take(request, Origin(f"{agent_id}/{spool}", int(number), agent_id))

    async def _take(self, request: Request, origin: Origin) -> Response:
        try:
            async with self._room(request):
                return _receipt(await self._received(request, origin))
        except BodyError as error:
            return _bad_body(error)
        except TooManyEvents as error:
            return web.refusal(413, str(error))
        except LogUnavailable as error:
            return web.refusal(503, f"Service Unavailable: {error}", error.retry_after)
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
        bounds, wire = self._bounds, bytearray()
        try:
            body = await self._body(
                request,
                _recorded(request.stream(), wire),
                bounds.max_packet_wire_bytes,
                bounds.max_packet_bytes,
            )
        except BodyMalformed as error:
            log.warning("packet_unreadable", source=origin.source, reason=str(error))
            return await self._ingest.bury(origin, str(error), bytes(wire))
        return await self._ingest.take(origin, body)

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

    async def _identify(self, request: Request) -> Endpoint | Response:
        """Return the endpoint that calls, or the refusal; the body is still unread."""
        certificate: bytes | None = request.scope.get("client_certificate")
        if certificate is None:
            return web.refusal(401, "Unauthorized: a client certificate is needed")
        digest = fingerprint(certificate)
        problem = self._problem(certificate, digest)
        if problem is not None:
            log.warning("agent_refused", digest=digest, reason=problem.value)
            return web.refusal(403, f"Forbidden: the certificate {problem.value}")
        endpoint = await asyncio.to_thread(self._endpoints.by_digest, digest)
        if endpoint is None or endpoint.state != ENROLLED:
            reason = "is not enrolled" if endpoint is None else "was revoked"
            log.warning("agent_refused", digest=digest, reason=reason)
            return web.refusal(403, f"Forbidden: this endpoint {reason}")
        told = _AGENT.match(request.headers.get("user-agent", ""))
        version = told[1] if told else ""
        await asyncio.to_thread(
            self._endpoints.note_contact, endpoint, web.address(request), version
        )
        return endpoint

    def _problem(self, certificate: bytes, digest: str) -> CertificateProblem | None:
        """Check a certificate's signature and dates, again only after a while."""
        now = time.monotonic()
        checked = self._checked.get(digest)
        if checked is not None and checked[0] > now - _CHECKED_FOR:
            return checked[1]
        problem = check_issued(
            certificate, self._authority.certificate, datetime.now(UTC), Purpose.CLIENT
        )
        if len(self._checked) >= _CHECKED_MOST:
            self._checked.clear()
        self._checked[digest] = (now, problem)
        return problem


async def _recorded(stream: AsyncIterable[bytes], copy: bytearray) -> AsyncIterator[bytes]:
    async for part in stream:
        copy += part
        yield part


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
