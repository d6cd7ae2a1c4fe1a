"""YARA rules, by which the files of external systems are scanned."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.responses import PlainTextResponse, Response

from deodar.edr.api.access import requires
from deodar.edr.api.models import Asked, Told
from deodar.edr.api.problems import documented
from deodar.edr.api.services import ServicesOf
from deodar.edr.scanning.rules import Rules
from deodar.edr.users.roles import Role

router = APIRouter(prefix="/yara-rules", tags=["YARA rules"])

Name = Annotated[str, Path(max_length=64, pattern="^[A-Za-z_][A-Za-z0-9_.-]*$")]
_TEXT = {"content": {"text/plain": {"schema": {"type": "string"}}}}


class RuleSet(Told):
    """A set of rules."""

    name: str
    digest: str
    """SHA-256 of its text."""
    rules: int
    """How many rules it has."""
    user: str
    """Who added it."""
    added_us: int


class Text(Asked):
    """The text of rules."""

    text: Annotated[str, Field(max_length=1 << 20)]
    """YARA rules; `include` is not allowed."""


@router.get("", dependencies=[requires(Role.AUDITOR)])
def list_rules(services: ServicesOf) -> list[RuleSet]:
    """Return all sets of rules by name."""
    return [RuleSet.model_validate(one) for one in Rules(services.database).list()]


@router.get(
    "/{name}",
    dependencies=[requires(Role.AUDITOR)],
    response_class=Response,  # errors are JSON all the same
    responses={200: _TEXT, **documented(404)},
)
def show_rules(services: ServicesOf, name: Name) -> Response:
    """Return the text of a set."""
    return PlainTextResponse(Rules(services.database).text(name))


@router.put("/{name}", dependencies=[requires(Role.SENIOR_SECURITY_OFFICER)])
def put_rules(services: ServicesOf, name: Name, rules: Text) -> RuleSet:
    """Take a set of rules, once they compile, in place of the one of that name."""
    return RuleSet.model_validate(Rules(services.database).add(name, rules.text))


@router.delete(
    "/{name}",
    dependencies=[requires(Role.SENIOR_SECURITY_OFFICER)],
    responses=documented(404),
)
def remove_rules(services: ServicesOf, name: Name) -> RuleSet:
    """Delete a set of rules."""
    return RuleSet.model_validate(Rules(services.database).remove(name))
