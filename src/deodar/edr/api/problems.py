"""Errors of the API as answers: ``{"error": text}`` with a status, as in the rest of the server.

Errors of the server's packages are answered by their class, or the nearest above it that `STATUS`
has a code for. An operation may raise `Refused` itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from deodar.edr import errors, web
from deodar.edr.users import errors as users
from deodar.kit.errors import DeodarError, SettingsError
from deodar.kit.logging import logger
from deodar.response.errors import OrderProblem
from deodar.tasks.errors import InvalidSetting

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

log = logger("edr.api")

STATUS: dict[type[DeodarError], int] = {
    errors.BadRequest: 400,
    errors.DurationError: 400,
    errors.NotKnown: 404,
    errors.Ambiguous: 409,
    errors.NotAcceptable: 409,
    errors.PolicyProblem: 409,
    errors.GroupProblem: 409,
    errors.FleetProblem: 409,
    SettingsError: 422,
    errors.ControlDataError: 503,
    errors.LogUnavailable: 503,
    InvalidSetting: 422,
    OrderProblem: 422,
    errors.RulesProblem: 422,
    errors.FeedProblem: 422,
    errors.AlreadyThere: 409,
    errors.OrderRefused: 409,
    users.NotPossible: 409,
    users.WeakPassword: 422,
    users.LoginRefused: 401,
    users.LockedOut: 429,
}
_RETRY_SECONDS = 5
METHOD_NOT_ALLOWED = 405
_SERVER_ERROR = 500
_SHOWN_PROBLEMS = 5


class Refused(DeodarError):  # noqa: N818
    """A request is refused; the text is the answer."""

    def __init__(self, status: int, text: str, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after


class Problem(BaseModel):
    """Every answer that is no success."""

    error: str


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of statuses that an operation may answer with."""
    return {status: {"model": Problem, "description": _MEANING[status]} for status in statuses}


_MEANING = {
    400: "A parameter is wrong; the text says which",
    401: "Nobody is logged in, or the API token is not good",
    403: "The role is too low, or the header X-CSRF-Token is missing",
    404: "There is none of that name",
    405: "The resource knows no such method",
    408: "The body did not come in time",
    409: "It cannot be done as things stand; the text says why",
    413: "The body is too large",
    415: "The body's encoding is not known",
    422: "A value is wrong; the text says which",
    429: "Too many requests; Retry-After says when to come again",
    500: "A mistake in the server; its log has more",
    503: "The server cannot do it now; Retry-After says when to come again",
}
EVERYWHERE = documented(400, 401, 403, 405, 408, 413, 415, 422, 503)
"""What any operation may answer with."""


async def refused(_request: Request, error: Exception) -> Response:
    """Answer an error of the server's packages."""
    if isinstance(error, Refused):
        return web.refusal(error.status, str(error), error.retry_after)
    found = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)
    if found is None:
        log.error("request_failed", reason=repr(error), exc_info=error)
        return web.refusal(500, "Internal Server Error")
    retry: int | None = getattr(error, "retry_after", None)
    if found < _SERVER_ERROR:
        return web.refusal(found, str(error), retry)
    log.error("request_failed", reason=str(error))
    return web.refusal(found, f"Service Unavailable: {_public(error)}", retry or _RETRY_SECONDS)


async def invalid(_request: Request, error: Exception) -> Response:
    """Answer a request whose parameters or body are not as documented."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    told = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found[:_SHOWN_PROBLEMS]]
    return web.refusal(422, "; ".join(told)[:2000] or "the request is not as documented")


async def plain(request: Request, error: Exception) -> Response:
    """Answer what the routing refuses."""
    if not isinstance(error, HTTPException):
        return web.refusal(500, "Internal Server Error")
    answer = web.refusal(error.status_code, str(error.detail))
    if error.status_code == METHOD_NOT_ALLOWED:
        path = str(request.scope["path"]).removeprefix(request.scope.get("root_path", ""))
        answer.headers["Allow"] = request.app.state.methods.of(path)
    return answer


async def failed(request: Request, error: Exception) -> Response:
    """Answer a mistake in the server itself."""
    log.error("request_failed", path=request.url.path, reason=repr(error), exc_info=error)
    return web.refusal(500, "Internal Server Error")


def _public(error: Exception) -> str:
    """Return what may be told: an error of the database has its address in it."""
    if isinstance(error, errors.ControlDataError):
        return "the server's database does not answer"
    return str(error)
