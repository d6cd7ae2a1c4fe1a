"""Groups of endpoints; the policy of each is at ``/policy?group=NAME``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from deodar.edr.api.access import requires
from deodar.edr.api.models import Asked, Text, Told
from deodar.edr.api.problems import documented
from deodar.edr.api.services import ServicesOf
from deodar.edr.groups import Groups
from deodar.edr.users.roles import Role

router = APIRouter(prefix="/groups", tags=["endpoints"])

Name = Annotated[str, Path(max_length=64, description="The group's name.")]


class Group(Told):
    """One group."""

    name: str
    note: str
    created_us: int
    endpoints: int
    """How many it has."""
    policy_version: int
    """Of the policy that its agents must follow; 0 for none."""


class NewGroup(Asked):
    """A group to be."""

    name: Annotated[str, Field(max_length=64)]
    """Small letters, digits, dots, hyphens and underscores."""
    note: Text = ""


@router.get("", dependencies=[requires(Role.AUDITOR)])
def list_groups(services: ServicesOf) -> list[Group]:
    """Return all groups by name; there are at most 1000."""
    return [Group.model_validate(group) for group in Groups(services.database).list()]


@router.post(
    "", status_code=201, dependencies=[requires(Role.ADMINISTRATOR)], responses=documented(409)
)
def add_group(services: ServicesOf, wish: NewGroup) -> Group:
    """Make a group."""
    return Group.model_validate(Groups(services.database).add(wish.name, wish.note))


@router.get("/{name}", dependencies=[requires(Role.AUDITOR)], responses=documented(404))
def show_group(services: ServicesOf, name: Name) -> Group:
    """Return one group."""
    return Group.model_validate(Groups(services.database).get(name))


@router.delete(
    "/{name}",
    status_code=204,
    dependencies=[requires(Role.ADMINISTRATOR)],
    responses=documented(404, 409),
)
def remove_group(services: ServicesOf, name: Name) -> None:
    """Remove a group that has no endpoints, and its policy."""
    Groups(services.database).remove(name)
