"""Who an agent is: its certificate, checked against this server's authority and the endpoints.

That is decided before a byte of a body is read. The signature of a certificate is looked at again
only after a while; when it ends, and whether its endpoint is enrolled, with each request.
"""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography.x509 import load_der_x509_certificate

from deodar.edr import web
from deodar.edr.endpoint import ENROLLED
from deodar.kit.logging import logger
from deodar.tls.certificates import CertificateProblem, Purpose, check_issued, fingerprint

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from deodar.edr.endpoint import Endpoint
    from deodar.edr.enrolment import Endpoints
    from deodar.tls.certificates import Pair

_AGENT = re.compile(r"deodar-agent/([0-9A-Za-z.+-]{1,64})", re.ASCII)
_GOOD_FOR, _REFUSED_FOR = 3600.0, 60.0
_CHECKED_MOST = 65_536

log = logger("edr.agent_api")


class AgentGate:
    """Lets enrolled agents in. Used within one event loop."""

    def __init__(self, endpoints: Endpoints, authority: Pair) -> None:
        self._endpoints = endpoints
        self._authority = authority
        self._checked: dict[str, tuple[float, CertificateProblem | None]] = {}

    async def admit(self, request: Request, *, note: bool = True) -> Endpoint | Response:
        """Return the endpoint that calls, or the refusal; the body is still unread.

        With `note`, its database row gets the time of this contact. Raises ControlDataError.
        """
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
        if endpoint.digest != digest:
            endpoint = await asyncio.to_thread(self._endpoints.confirm, endpoint)
            log.info("certificate_renewed", agent_id=endpoint.agent_id, digest=digest)
        if note:
            await self._note(request, endpoint)
        return endpoint

    async def _note(self, request: Request, endpoint: Endpoint) -> None:
        told = _AGENT.match(request.headers.get("user-agent", ""))
        version = told[1] if told else ""
        if self._endpoints.gathers_contacts:
            self._endpoints.note_contact(endpoint, web.address(request), version)
            return
        note = self._endpoints.note_contact
        await asyncio.to_thread(note, endpoint, web.address(request), version)

    def _problem(self, certificate: bytes, digest: str) -> CertificateProblem | None:
        """Check a certificate's signature and dates, again only after a while."""
        now = time.time()
        until, problem = self._checked.get(digest, (0.0, None))
        if now < until <= now + _GOOD_FOR:
            return problem
        problem = check_issued(
            certificate, self._authority.certificate, datetime.now(UTC), Purpose.CLIENT
        )
        if len(self._checked) >= _CHECKED_MOST:
            self._checked.clear()
        until = now + _REFUSED_FOR if problem else min(now + _GOOD_FOR, _end(certificate))
        self._checked[digest] = (until, problem)
        return problem


def _end(certificate: bytes) -> float:
    """Return when a certificate ends, in seconds since the epoch."""
    return load_der_x509_certificate(certificate).not_valid_after_utc.timestamp()
