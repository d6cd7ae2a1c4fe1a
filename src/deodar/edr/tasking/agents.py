"""What agents call about tasks: wait for orders, tell results, send files, tell of states.

* ``GET /agent/v1/tasking?since=N&wait=S``: everything that changed since the number N; waits up to
  S seconds, bounded by the server, when nothing did.
* ``POST /agent/v1/results/<task id>``: how a task fares.
* ``POST /agent/v1/results/<task id>/file``: a part of the file that it fetched.
* ``POST /agent/v1/states``: what became of a desired state.

docs/reference/agent-protocol.md has the whole of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from deodar.edr import web
from deodar.edr.database import now_us
from deodar.edr.errors import AlreadyThere, BadRequest, FileRefused, NotKnown
from deodar.edr.tasking.files import Part
from deodar.kit.background import occurs
from deodar.kit.body import BodyError
from deodar.kit.logging import logger
from deodar.response.errors import OrderProblem
from deodar.response.wire import (
    LARGEST_PART,
    LARGEST_RESULT,
    RESULTS,
    STATES,
    TASKING,
    Applied,
    Result,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from deodar.edr.agent_gate import AgentGate
    from deodar.edr.endpoint import Endpoint
    from deodar.edr.tasking import Tasking
    from deodar.response.wire import Orders

_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PLACES = 8
"""Results and parts of files that are read at a time."""

log = logger("edr.tasking")


class TaskingApi:
    """The applications behind those URLs."""

    def __init__(self, gate: AgentGate, tasking: Tasking) -> None:
        self._gate = gate
        self._tasking = tasking
        self._places = asyncio.Semaphore(_PLACES)

    @property
    def routes(self) -> list[Route]:
        """The routes for the server's application."""
        return [
            Route(TASKING, self.orders, methods=["GET"]),
            Route(RESULTS + "{task}", self.result, methods=["POST"]),
            Route(RESULTS + "{task}/file", self.file, methods=["POST"]),
            Route(STATES, self.state, methods=["POST"]),
        ]

    async def orders(self, request: Request) -> Response:
        """Tell an agent what it has to do, as soon as there is something.

        No contact is noted, which would be a write to the disk: thousands of agents ask while
        there is nothing to say, and they synchronize often enough to be known as online.
        """
        endpoint = await self._gate.admit(request, note=False)
        if not isinstance(endpoint, msgspec.Struct):
            return endpoint
        try:
            since, wait = _parameters(request)
        except BadRequest as error:
            return web.refusal(400, str(error))
        with self._tasking.waker.turn(endpoint.agent_id) as turn:
            orders = await self._orders(endpoint, since)
            if not _is_empty(orders) or not wait:
                return web.answer(orders)
            seconds = min(wait, self._tasking.settings.wait)
            if await web.unless_gone(request, _woken(turn, seconds)) is None:
                return Response(status_code=499)  # nobody is there to see it
            if not turn.is_set():
                return web.answer(msgspec.structs.replace(orders, time_us=now_us()))
        # It may have been revoked meanwhile.
        endpoint = await self._gate.admit(request, note=False)
        if not isinstance(endpoint, msgspec.Struct):
            return endpoint
        return web.answer(await self._orders(endpoint, since))

    async def result(self, request: Request) -> Response:
        """Keep what an agent says of a task."""
        endpoint = await self._gate.admit(request, note=False)
        if not isinstance(endpoint, msgspec.Struct):
            return endpoint
        task_id = request.path_params["task"]
        try:
            result = web.decode(await self._body(request, LARGEST_RESULT), Result)
            take = self._tasking.tasks.take_result
            task = await asyncio.to_thread(take, endpoint.agent_id, task_id, result)
        except (BadRequest, BodyError, NotKnown, AlreadyThere, ClientDisconnect) as error:
            return _refused(error)
        log.info("task_result", task=task.id, agent_id=task.agent_id, state=result.state)
        return web.answer({"id": task.id, "state": task.state})

    async def file(self, request: Request) -> Response:
        """Keep a part of a fetched file."""
        endpoint = await self._gate.admit(request, note=False)
        if not isinstance(endpoint, msgspec.Struct):
            return endpoint
        try:
            head = _part(request)
            part = msgspec.structs.replace(head, data=await self._body(request, LARGEST_PART))
            add = self._tasking.files.add
            have = await asyncio.to_thread(
                add, endpoint.agent_id, request.path_params["task"], part
            )
        except FileRefused as error:
            body = {"error": str(error)} | ({} if error.have is None else {"have": error.have})
            return web.answer(body, error.status)
        except (BadRequest, BodyError, NotKnown, ClientDisconnect) as error:
            return _refused(error)
        return web.answer({"have": have})

    async def state(self, request: Request) -> Response:
        """Keep what an agent says of a desired state."""
        endpoint = await self._gate.admit(request, note=False)
        if not isinstance(endpoint, msgspec.Struct):
            return endpoint
        try:
            told = web.decode(await self._body(request, 64 << 10), Applied)
            await asyncio.to_thread(self._tasking.states.note, endpoint.agent_id, told)
        except OrderProblem as error:
            return web.refusal(400, f"Bad Request: {error}")
        except (BadRequest, BodyError, ClientDisconnect) as error:
            return _refused(error)
        log.info("state_told", agent_id=endpoint.agent_id, kind=told.kind, outcome=told.outcome)
        return web.answer({"kind": told.kind, "number": told.number})

    async def _orders(self, endpoint: Endpoint, since: int) -> Orders:
        return await asyncio.to_thread(self._tasking.delivery.orders, endpoint.agent_id, since)

    async def _body(self, request: Request, largest: int) -> bytes:
        async with self._place():
            return await web.body_of(request, largest)

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        async with self._places:
            yield


async def _woken(turn: asyncio.Event, seconds: float) -> bool:
    """Wait for the turn, or for the time; True, whichever comes first."""
    await occurs(turn, seconds)
    return True


def _parameters(request: Request) -> tuple[int, float]:
    """Return what a poll asks for: the number, and how long to wait; raises BadRequest."""
    since = request.query_params.get("since", "0")
    if not _NUMBER.fullmatch(since):
        raise BadRequest("Bad Request: since is no number of at most 15 digits")
    try:
        wait = float(request.query_params.get("wait", "0"))
    except ValueError:
        wait = math.nan
    if not 0 <= wait < math.inf:
        raise BadRequest("Bad Request: wait is no number of seconds")
    return int(since), wait


def _part(request: Request) -> Part:
    """Return what the headers say of a part; raises BadRequest."""
    digest = request.headers.get("deodar-sha256", "")
    if not _SHA256.fullmatch(digest):
        raise BadRequest("Bad Request: the header Deodar-Sha256 is no SHA-256")
    numbers = [_header(request, name) for name in ("Deodar-Offset", "Deodar-Total")]
    return Part(numbers[0], numbers[1], digest, b"")


def _header(request: Request, name: str) -> int:
    text = request.headers.get(name, "")
    if not _NUMBER.fullmatch(text):
        raise BadRequest(f"Bad Request: the header {name} is no number")
    return int(text)


def _is_empty(orders: Orders) -> bool:
    return not orders.tasks and not orders.states


def _refused(error: Exception) -> Response:
    """Return the answer to a request that cannot be taken."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=499)
    if isinstance(error, BodyError):
        return web.refusal(error.status, f"Bad Request: {error}")
    if isinstance(error, BadRequest):
        return web.refusal(400, str(error))
    return web.refusal(404 if isinstance(error, NotKnown) else 409, str(error))
