"""The API's application, for the server to mount at `PREFIX`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from deodar import __version__
from deodar.edr.api import problems
from deodar.edr.api.gate import Gate
from deodar.edr.api.openapi import PREFIX, completed
from deodar.edr.api.operations import Methods, operations
from deodar.edr.api.resources import RESOURCES
from deodar.kit.documented import Documented
from deodar.kit.errors import DeodarError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from deodar.edr.api.services import Services

__all__ = ["PREFIX", "make"]

DOCUMENT = "/openapi.json"
_ABOUT = """\
Manages a Deodar EDR server. Log in at `POST /session`, or show an API token as
`Authorization: Bearer`. Times are µs since the epoch. Every answer that is no success has the form
`{"error": text}`."""


def make(services: Services | None = None) -> FastAPI:
    """Return the application; without services only its documentation can be read."""
    declared = list(operations(RESOURCES))
    app = Documented(
        partial(completed, operations=declared),
        title="Deodar EDR server",
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
    for resource in RESOURCES:
        app.include_router(resource.router)
    app.state.methods = Methods(declared)
    if services is not None:
        app.state.services = services
        public = {(one.method, one.path) for one in declared if one.role is None}
        app.add_middleware(Gate, services=services, public=public | {("GET", DOCUMENT)})
    return app
