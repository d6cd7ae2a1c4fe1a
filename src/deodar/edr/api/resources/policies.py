"""Policies: settings that all agents, or those of a group, must follow, with earlier versions."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query

from deodar.edr import policy_file
from deodar.edr.api.access import requires
from deodar.edr.api.models import Asked, Told
from deodar.edr.api.problems import Refused, documented
from deodar.edr.api.services import Services, ServicesOf
from deodar.edr.errors import PolicyProblem
from deodar.edr.policies import DEFAULT, Policies, PolicyVersion
from deodar.edr.users.roles import Role

router = APIRouter(prefix="/policy", tags=["policies"])

Group = Annotated[str, Query(max_length=64, description="The group of endpoints that it is of.")]
Effective = Annotated[bool, Query(description="With what is taken from the default policy.")]
Settings = dict[str, dict[str, Any]]
_BODY = "settings"


class Policy(Told):
    """One version of the policy."""

    name: str
    version: int
    made_us: int
    user: str
    """Who made it."""
    settings: Settings | None
    """By task, as `deodar edr policy show --json` has them; null when it was cleared."""


class Wish(Asked):
    """The settings that shall be in force."""

    settings: Settings
    """By task and name; *** in place of the proxy's password keeps the one of now."""


class Put(Told):
    """The version that is in force now, and names that have no function here."""

    policy: Policy
    passed_over: list[str]


@router.get("", dependencies=[requires(Role.AUDITOR)], responses=documented(404))
def show_policy(
    services: ServicesOf, group: Group = DEFAULT, effective: Effective = False
) -> Policy:
    """Return the policy in force."""
    policies = _policies(services)
    found = policies.effective(group) if effective else policies.current(group)
    if found is None:
        raise Refused(404, "there is no policy")
    return _told(found)


@router.put("", dependencies=[requires(Role.ADMINISTRATOR)], responses=documented(404, 409))
def set_policy(services: ServicesOf, wish: Wish, group: Group = DEFAULT) -> Put:
    """Put settings into force; agents get them when they next synchronize."""
    policies = _policies(services)
    present = policies.current(group)
    before = present.settings if present else None
    try:
        body = msgspec.json.encode(wish.settings)
    except (ValueError, OverflowError, RecursionError) as error:
        raise Refused(422, f"{_BODY}: {error}") from error
    settings, passed_over = policy_file.read(body, _BODY, before)
    return Put(policy=_told(policies.set(settings, group)), passed_over=passed_over)


@router.delete("", dependencies=[requires(Role.ADMINISTRATOR)], responses=documented(409))
def clear_policy(services: ServicesOf, group: Group = DEFAULT) -> Policy:
    """End the policy; agents go back to the default one, or to the settings of their hosts."""
    return _told(_policies(services).clear(group))


@router.get("/versions", dependencies=[requires(Role.AUDITOR)])
def list_policy_versions(services: ServicesOf, group: Group = DEFAULT) -> list[Policy]:
    """Return the versions that are kept, the newest first; there are at most 100."""
    return [_told(version) for version in _policies(services).history(group)]


@router.get("/versions/{version}", dependencies=[requires(Role.AUDITOR)], responses=documented(404))
def show_policy_version(
    services: ServicesOf,
    version: Annotated[int, Path(ge=1, le=2**62)],
    group: Group = DEFAULT,
) -> Policy:
    """Return an earlier version."""
    try:
        return _told(_policies(services).at(version, group))
    except PolicyProblem as error:
        raise Refused(404, str(error)) from error


def _policies(services: Services) -> Policies:
    return Policies(services.database)


def _told(policy: PolicyVersion) -> Policy:
    if policy.settings is not None:
        shown = policy_file.without_secrets(policy.settings)
        policy = msgspec.structs.replace(policy, settings=shown)
    return Policy.model_validate(policy)
