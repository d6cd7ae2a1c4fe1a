"""Reputation for agents: ``POST /agent/v1/reputation`` with hashes, answered from local lists.

It is a private service: nothing goes to anybody else. The answer tells for how long it may be
kept, so that an agent asks once for each file.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from deodar.edr import web
from deodar.edr.database import now_us
from deodar.edr.errors import BadRequest
from deodar.edr.reputation import UNKNOWN
from deodar.kit.body import BodyError

if TYPE_CHECKING:
    from starlette.requests import Request

    from deodar.edr.agent_gate import AgentGate
    from deodar.edr.reputation import Reputation

PATH = "/agent/v1/reputation"
MOST_HASHES = 1000
LARGEST_BODY = 128 << 10
KEPT_FOR = 3600
"""Seconds that an answer may be kept; less when an entry ends before."""


class Question(msgspec.Struct, frozen=True):
    """The body of a request: MD5 or SHA-256 in hexadecimal."""

    hashes: Annotated[
        tuple[Annotated[str, Meta(pattern="^([0-9A-Fa-f]{32}|[0-9A-Fa-f]{64})$")], ...],
        Meta(max_length=MOST_HASHES),
    ]


class ReputationApi:
    """The application behind that URL."""

    def __init__(self, gate: AgentGate, reputation: Reputation) -> None:
        self._gate = gate
        self._reputation = reputation

    @property
    def routes(self) -> list[Route]:
        """The routes for the server's application."""
        return [Route(PATH, self.ask, methods=["POST"])]

    async def ask(self, request: Request) -> Response:
        """Tell an agent what is known of some files."""
        endpoint = await self._gate.admit(request, note=False)
        if not isinstance(endpoint, msgspec.Struct):
            return endpoint
        try:
            body = await web.body_of(request, LARGEST_BODY)
            question = web.decode(body, Question)
        except BadRequest as error:
            return web.refusal(400, str(error))
        except BodyError as error:
            return web.refusal(error.status, f"Bad Request: {error}")
        except ClientDisconnect:
            return Response(status_code=499)
        told, seconds = await asyncio.to_thread(self._tell, question)
        headers = {"Cache-Control": f"private, max-age={seconds}"}
        return web.answer({"verdicts": told, "max_age": seconds}, headers=headers)

    def _tell(self, question: Question) -> tuple[dict[str, Any], int]:
        found = self._reputation.look_up(question.hashes)
        now = now_us()
        ends = [entry.expires_us for entry in found.values() if entry.expires_us]
        seconds = min([KEPT_FOR, *(max(0, (end - now) // 1_000_000) for end in ends)])
        told: dict[str, Any] = {}
        for text in question.hashes:
            entry = found.get(text.lower())
            told[text] = (
                {"verdict": UNKNOWN}
                if entry is None
                else {"verdict": entry.verdict, "source": entry.source}
            )
        return told, seconds
