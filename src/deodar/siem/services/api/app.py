"""The API's application, for the core to serve on its REST port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from deodar import __version__
from deodar.kit.documented import Documented
from deodar.kit.errors import DeodarError
from deodar.siem.services.api import problems
from deodar.siem.services.api.access import Requires
from deodar.siem.services.api.gate import Gate
from deodar.siem.services.api.resources import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastapi import APIRouter, FastAPI

    from deodar.siem.services.core import ServiceCore
    from deodar.siem.services.roles import Role

PREFIX = "/api/v1"
DOCUMENT = f"{PREFIX}/openapi.json"
ROUTERS = tuple(resource.router for resource in RESOURCES)
_ABOUT = """\
Manages the services of a Deodar SIEM. Show an API token as `Authorization: Bearer`. Times are µs
since the epoch. Every answer that is no success has the form `{"error": text}`."""


def make(core: ServiceCore | None = None) -> FastAPI:
    """Return the application; without a core only its documentation can be read."""
    app = Documented(
        _completed,
        title="Deodar SIEM",
        version=__version__,
        description=_ABOUT,
        openapi_url=DOCUMENT,
        responses=problems.EVERYWHERE,
        exception_handlers={
            DeodarError: problems.refused,
            RequestValidationError: problems.invalid,
            HTTPException: problems.plain,
            Exception: problems.failed,
        },
    )
    for router in ROUTERS:
        app.include_router(router, prefix=PREFIX)
    if core is not None:
        app.state.core = core
        app.add_middleware(Gate, core=core, public=frozenset((DOCUMENT,)))
    return app


@dataclass(frozen=True)
class Operation:
    """One method of one path; `role` is the least that may use it."""

    method: str
    path: str
    role: Role
    about: str
    tag: str


def operations(routers: Iterable[APIRouter]) -> Iterator[Operation]:
    """Yield every operation; raises ValueError for one that says not whom it is for."""
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute):
                path, role = f"{PREFIX}{route.path}", _role(route)
                for method in sorted(route.methods or ()):
                    yield Operation(method, path, role, route.description, str(route.tags[0]))


def _role(route: APIRoute) -> Role:
    calls = [one.call for one in route.dependant.dependencies]
    roles = [call.role for call in calls if isinstance(call, Requires)]
    if not roles:
        raise ValueError(f"{route.path} ({route.name}) says not whom it is for; see access")
    return roles[0]


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the role that each operation needs and how to show a token."""
    scheme = {"type": "http", "scheme": "bearer", "description": "An API token."}
    document["components"]["securitySchemes"] = {"apiToken": scheme}
    for one in operations(ROUTERS):
        told = document["paths"][one.path][one.method.lower()]
        told["x-required-role"] = one.role
        told["security"] = [{"apiToken": []}]
    return document
