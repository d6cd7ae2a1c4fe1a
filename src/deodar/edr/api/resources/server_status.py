"""How the server does."""

from __future__ import annotations

from fastapi import APIRouter

from deodar.edr.api.access import requires
from deodar.edr.api.models import Told
from deodar.edr.api.services import ServicesOf
from deodar.edr.users.roles import Role

router = APIRouter(prefix="/status", tags=["server"])


class Status(Told):
    """What the running server tells of itself; counts are since its start, but for `last_seq`."""

    version: str
    url: str
    server_id: str
    last_seq: int
    events: int
    packets: int
    queued: int
    waiting_requests: int
    dead_letters: int
    dead_letters_dropped: int
    failure: str | None


@router.get("", dependencies=[requires(Role.AUDITOR)])
def show_status(services: ServicesOf) -> Status:
    """Return how the running server does."""
    return Status.model_validate(services.parts.status())
