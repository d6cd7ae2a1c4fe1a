"""Errors of the API as answers: ``{"error": text}`` with a status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from deodar.kit.errors import DeodarError, SettingsError
from deodar.kit.logging import logger
from deodar.siem import errors
from deodar.siem.services.api.gate import refusal

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

STATUS: dict[type[DeodarError], int] = {
    errors.NotKnown: 404,
    errors.NotPossible: 409,
    errors.ServiceUnreachable: 502,
    errors.SetProblem: 422,
    errors.NotStorable: 422,
    SettingsError: 422,
    errors.ControlDataError: 503,
}
_SHOWN_PROBLEMS = 5
_log = logger("siem.api")


class Problem(BaseModel):
    """Every answer that is no success."""

    error: str


_MEANING = {
    401: "No API token was shown, or it is not good",
    403: "The token's role is too low",
    404: "There is none of that name",
    409: "It cannot be done as things stand; the text says why",
    413: "The body is too large",
    422: "A value is wrong; the text says which",
    502: "The service does not answer on its API port",
    503: "The core cannot do it now; Retry-After says when to come again",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of statuses that an operation may answer with."""
    return {status: {"model": Problem, "description": _MEANING[status]} for status in statuses}


EVERYWHERE = documented(401, 403, 413, 422, 503)
"""What any operation may answer with."""


async def refused(_request: Request, error: Exception) -> Response:
    """Answer an error of our own."""
    if isinstance(error, errors.ApiRefused):
        return refusal(error.status, str(error))
    found = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)
    if found in (None, 503):
        _log.error("request failed", reason=repr(error))
    if found == 503:
        return refusal(503, "the core's database does not answer; come again")
    return (
        refusal(500, "a mistake in the core; its log has more")
        if found is None
        else refusal(found, str(error))
    )


async def invalid(_request: Request, error: Exception) -> Response:
    """Answer a request whose parameters or body are not as documented."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    told = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found[:_SHOWN_PROBLEMS]]
    return refusal(422, "; ".join(told)[:2000] or "the request is not as documented")


async def plain(_request: Request, error: Exception) -> Response:
    """Answer what the routing refuses."""
    if not isinstance(error, HTTPException):
        return refusal(500, "a mistake in the core; its log has more")
    answer = refusal(error.status_code, str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def failed(request: Request, error: Exception) -> Response:
    """Answer a mistake in the core itself."""
    _log.error("request failed", path=request.url.path, reason=repr(error), exc_info=error)
    return refusal(500, "a mistake in the core; its log has more")
