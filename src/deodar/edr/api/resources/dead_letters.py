"""Dead letters: what came in and could not become an event."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from deodar.edr import dead_letter_row
from deodar.edr.api.access import requires
from deodar.edr.api.models import Told
from deodar.edr.api.problems import Refused, documented
from deodar.edr.api.services import ServicesOf
from deodar.edr.users.roles import Role

router = APIRouter(
    prefix="/dead-letters", tags=["dead letters"], dependencies=[requires(Role.AUDITOR)]
)


class DeadLetter(Told):
    """A dead letter with the beginning of its text."""

    id: str
    time_us: int
    source: str
    line: int
    """From 1, within the packet or the file."""
    reason: str
    path: str
    size: int
    """Bytes."""
    text: str


@router.get("")
def list_dead_letters(
    services: ServicesOf,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
) -> list[DeadLetter]:
    """Return the newest dead letters."""
    stored = services.parts.dead_letters.list(limit)
    return [DeadLetter.model_validate(dead_letter_row.row(one)) for one in stored]


@router.get(
    "/{letter}",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}, **documented(404)},
)
def show_dead_letter(
    services: ServicesOf,
    letter: Annotated[str, Path(max_length=64, description="Its id in the list.")],
) -> Response:
    """Return a dead letter's bytes, as they came."""
    found = services.parts.dead_letters.read(letter)
    if found is None:
        raise Refused(404, f"no dead letter '{letter}'")
    headers = {"Content-Disposition": "attachment"}
    return Response(found.letter.raw, 200, headers, media_type="application/octet-stream")
