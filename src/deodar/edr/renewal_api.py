"""``POST /agent/v1/renew``: an agent's certificate request for a new key, for a certificate."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from deodar.edr import web
from deodar.edr.errors import BadRequest, RenewalRefused
from deodar.edr.renewal import RenewalRequest
from deodar.kit.body import BodyError
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from starlette.requests import Request

    from deodar.edr.agent_gate import AgentGate
    from deodar.edr.renewal import Renewals

LARGEST_BODY = 64 << 10

log = logger("edr.renewal")


class RenewalApi:
    """The application behind the URL."""

    def __init__(self, gate: AgentGate, renewals: Renewals) -> None:
        self._gate = gate
        self._renewals = renewals

    @property
    def routes(self) -> list[Route]:
        """The routes for the server's application."""
        return [Route("/agent/v1/renew", self.renew, methods=["POST"])]

    async def renew(self, request: Request) -> Response:
        """Give an agent another certificate before its present one ends."""
        endpoint = await self._gate.admit(request)
        if not isinstance(endpoint, msgspec.Struct):
            return endpoint
        try:
            body = await web.body_of(request, LARGEST_BODY)
            asked = web.decode(body, RenewalRequest)
            renewed = await asyncio.to_thread(self._renewals.renew, endpoint, asked)
        except RenewalRefused as error:
            return web.refusal(400, f"Bad Request: {error}")
        except BadRequest as error:
            return web.refusal(400, str(error))
        except BodyError as error:
            return web.refusal(error.status, f"Bad Request: {error}")
        except ClientDisconnect:
            return Response(status_code=499)
        log.info("certificate_issued", agent_id=endpoint.agent_id)
        return web.answer(renewed)
