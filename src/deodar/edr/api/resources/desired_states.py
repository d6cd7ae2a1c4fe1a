"""How endpoints shall be: network isolation and execution prevention, and what became of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path

from deodar.edr.api.access import requires
from deodar.edr.api.models import Asked, Told
from deodar.edr.api.problems import documented
from deodar.edr.api.services import Services, ServicesOf
from deodar.edr.tasking.states import ALL
from deodar.edr.users.roles import Role

router = APIRouter(prefix="/states", tags=["isolation and prevention"])

Kind = Literal["network_isolation", "prevention"]
Target = Annotated[
    str, Path(max_length=256, description="An agent's id, its host's name, or `all`.")
]
_ACTING = [requires(Role.SENIOR_SECURITY_OFFICER)]


class State(Told):
    """What is wanted. Times are µs since the epoch, 0 for never."""

    target: str
    """An agent's id, or `all`."""
    kind: Kind
    number: int
    """Rises with each change of anything that agents are told."""
    settings: dict[str, Any] | None
    """As KATA's response API has them; null after a deletion."""
    active: bool
    user: str
    """Who wanted it."""
    made_us: int
    ends_us: int


class Applied(Told):
    """What an endpoint said of a state."""

    agent_id: str
    kind: str
    target: Literal["endpoint", "all"]
    number: int
    """Of the state that it means."""
    outcome: Literal["applied", "failed", "unsupported"]
    reason: str
    told_us: int


class Of(Told):
    """What is wanted of one target, and what it said of that."""

    wanted: list[State]
    applied: list[Applied]


class Wish(Asked):
    """Settings of a kind of state."""

    settings: dict[str, Any]
    """As KATA's response API has them: `excludedRules`, `autoTurnoffTimeoutInSec`, or `objects`."""


@router.get("", dependencies=[requires(Role.AUDITOR)])
def list_states(services: ServicesOf) -> list[State]:
    """Return everything that is wanted of endpoints."""
    return [State.model_validate(state) for state in services.tasking.states.wanted()]


@router.get("/{target}", dependencies=[requires(Role.AUDITOR)], responses=documented(404, 409))
def show_states(services: ServicesOf, target: Target) -> Of:
    """Return what is wanted of one target, and what it said of that."""
    name, states = _target(services, target), services.tasking.states
    return Of(
        wanted=[State.model_validate(state) for state in states.wanted(name)],
        applied=[Applied.model_validate(told) for told in states.applied(name)],
    )


@router.put("/{target}/{kind}", dependencies=_ACTING, responses=documented(404, 409))
def set_state(services: ServicesOf, target: Target, kind: Kind, wish: Wish) -> State:
    """Want a state from now on, in place of the one before; agents are told at once."""
    made = services.tasking.states.set(_target(services, target), kind, wish.settings)
    return State.model_validate(made)


@router.delete("/{target}/{kind}", dependencies=_ACTING, responses=documented(404, 409))
def clear_state(services: ServicesOf, target: Target, kind: Kind) -> State:
    """Want nothing of this kind any more."""
    made = services.tasking.states.clear(_target(services, target), kind)
    return State.model_validate(made)


def _target(services: Services, name: str) -> str:
    return ALL if name == ALL else services.endpoint(name).agent_id
