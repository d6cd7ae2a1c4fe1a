"""The response API: external systems isolate hosts, prevent execution, and run programs.

``/kata/response_api/v1/<external system id>/…``, after KATA's API of that name:

* ``GET sensors``: the hosts, filtered by ``ip``, ``host`` and ``sensor_id`` together;
* ``GET``, ``POST``, ``DELETE settings``: network isolation and execution prevention of a host;
* ``POST``, ``GET``, ``DELETE tasks/<task id>``: programs that hosts run.

Two pages of the vendor's help print 400 and 401 the wrong way round; here 400 is for wrong
parameters and 401 for who is not authorised, as the other pages have it.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from starlette.routing import Route

from deodar.edr import response_bodies as bodies
from deodar.edr import web
from deodar.edr.endpoint import ENROLLED
from deodar.edr.errors import BadRequest, NotKnown
from deodar.edr.tables import endpoints
from deodar.edr.tasking.states import is_isolated
from deodar.response.isolation import ISOLATION, PREVENTION

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from deodar.edr.database import Database
    from deodar.edr.entrance import Asked, Entrance
    from deodar.edr.live_settings import LiveSettings
    from deodar.edr.tasking import Tasking

PREFIX = "/kata/response_api/v1/"
LARGEST_BODY = 4 << 20
_NOT_HERE = "external systems may not respond here (setting external_systems.may_respond)"
RUN_PROCESS = "run_process"
_KINDS = {ISOLATION: ISOLATION, PREVENTION: PREVENTION, "network_izolation": ISOLATION}
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


class ResponseApi:
    """The application behind the API's URLs."""

    def __init__(
        self, entrance: Entrance, database: Database, tasking: Tasking, settings: LiveSettings
    ) -> None:
        self._entrance = entrance
        self._live = settings
        self._database = database
        self._tasking = tasking

    @property
    def routes(self) -> list[Route]:
        """The routes for the server's application."""
        methods = ["GET", "POST", "DELETE"]
        return [Route(PREFIX + "{tail:path}", self.serve, methods=methods)]

    async def serve(self, request: Request) -> Response:
        """Answer one request."""
        return await self._entrance.serve(request, PREFIX, self._answer)

    async def _answer(self, asked: Asked) -> Response:
        if not self._live.current.external_systems.may_respond:
            return web.refusal(403, f"Forbidden: {_NOT_HERE}")
        method = asked.request.method.replace("HEAD", "GET")
        match (method, asked.words):
            case ("GET", ("sensors",)):
                return web.answer(await asyncio.to_thread(self._sensors, asked.query))
            case (_, ("settings",)):
                return await self._settings(method, asked)
            case (_, ("tasks", task_id)):
                return await self._task(method, task_id, asked)
            case (_, ("sensors",)):
                return web.refusal(405, "Method Not Allowed")
        return web.refusal(404, "Not Found")

    async def _settings(self, method: str, asked: Asked) -> Response:
        kind = _kind(asked)
        target = _sensor(asked)
        states = self._tasking.states
        if method == "POST":
            given = bodies.settings(await asked.json(LARGEST_BODY))
            found = await asyncio.to_thread(states.set, target, kind, given)
            return web.answer(bodies.state(kind, found))
        if method == "DELETE":
            if await asyncio.to_thread(states.get, target, kind) is not None:
                await asyncio.to_thread(states.clear, target, kind)
            return web.answer(bodies.state(kind, None))
        return web.answer(bodies.state(kind, await asyncio.to_thread(states.get, target, kind)))

    async def _task(self, method: str, task_id: str, asked: Asked) -> Response:
        if not _ID.fullmatch(task_id):
            raise BadRequest("the task id in the URL is not a UUID or similar name")
        if method == "POST":
            return await self._create(task_id, asked)
        found = await asyncio.to_thread(self._tasking.tasks.find, task_id)
        if found.kind != RUN_PROCESS or found.removed_us:
            raise NotKnown(f"no task '{task_id}'")
        if method == "DELETE":
            found = await asyncio.to_thread(self._tasking.tasks.remove, task_id)
        return web.answer(bodies.task(found, with_settings=_flag(asked, "settings")))

    async def _create(self, task_id: str, asked: Asked) -> Response:
        sensor = _sensor(asked)
        kind = asked.query.get("task_type", "")
        if kind != RUN_PROCESS:
            raise BadRequest(f"task_type '{kind[:40]}' is not {RUN_PROCESS}")
        parameters = bodies.run_process(await asked.json(LARGEST_BODY))
        create = self._tasking.tasks.create
        made = await asyncio.to_thread(create, sensor, kind, parameters, task_id=task_id)
        return web.answer(bodies.task(made))

    def _sensors(self, query: dict[str, str]) -> dict[str, Any]:
        wanted = select(endpoints).where(endpoints.c.state == ENROLLED)
        filters = {"ip": "address", "host": "name", "sensor_id": "agent_id"}
        given = {filters[name]: query[name] for name in filters if query.get(name)}
        for column, value in given.items():
            wanted = wanted.where(endpoints.c[column] == value)
        with self._database.read() as connection:
            rows = connection.execute(wanted.order_by(endpoints.c.enrolled_us)).all()
        if given and not rows:
            raise NotKnown("no host is that")
        states = self._tasking.states.wanted()
        isolated = {one.target for one in states if one.kind == ISOLATION and is_isolated(one)}
        return bodies.sensors(rows, isolated)


def _kind(asked: Asked) -> str:
    text = asked.query.get("settings_type", "")
    if text not in _KINDS:
        raise BadRequest(f"settings_type '{text[:40]}' is none of {ISOLATION}, {PREVENTION}")
    return _KINDS[text]


def _sensor(asked: Asked) -> str:
    sensor = asked.query.get("sensor_id", "")
    if not sensor:
        raise BadRequest("sensor_id is missing")
    return sensor[:64]


def _flag(asked: Asked, name: str) -> bool:
    text = asked.query.get(name, "true").lower()
    if text not in {"true", "false"}:
        raise BadRequest(f"{name} '{text[:40]}' is neither true nor false")
    return text == "true"
