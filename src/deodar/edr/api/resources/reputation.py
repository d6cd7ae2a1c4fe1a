"""Reputation of files by hash: lists, and what agents are told by them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from deodar.edr import reputation as store
from deodar.edr.api.access import requires
from deodar.edr.api.models import Asked, Page, Told
from deodar.edr.api.paging import LIMIT, After, Limit, page, place
from deodar.edr.api.problems import documented
from deodar.edr.api.services import ServicesOf
from deodar.edr.users.roles import Role

router = APIRouter(prefix="/reputation", tags=["reputation"])

Hash = Annotated[
    str, Field(pattern="^([0-9A-Fa-f]{32}|[0-9A-Fa-f]{64})$", description="MD5 or SHA-256.")
]
Source = Annotated[str, Path(max_length=64, pattern="^[A-Za-z0-9_.-]+$")]
Verdict = Literal["untrusted", "trusted"]
_ACTING = [requires(Role.SENIOR_SECURITY_OFFICER)]


class Feed(Told):
    """A list, with how many entries it has."""

    source: str
    untrusted: int
    trusted: int
    expired: int
    added_us: int
    """When the newest entry came, µs since the epoch."""


class Entry(Told):
    """What a list says of a file. Times are µs since the epoch, 0 for never."""

    hash: str
    verdict: Verdict
    source: str
    expires_us: int
    note: str
    added_us: int


class Line(Asked):
    """A file for a list."""

    hash: Hash
    verdict: Verdict = "untrusted"
    expires_us: Annotated[int, Field(ge=0, lt=1 << 62)] = 0
    note: Annotated[str, Field(max_length=256)] = ""


class Lines(Asked):
    """Files for a list."""

    entries: Annotated[list[Line], Field(max_length=5000)]
    replace: bool = False
    """Whether nothing else stays on the list."""


class Count(Told):
    """How many entries that were."""

    entries: int


class Verdicts(Told):
    """What agents are told of a file."""

    hash: str
    verdict: Literal["untrusted", "trusted", "unknown"]
    source: str
    """The list that says so; empty for none."""


@router.get("", dependencies=[requires(Role.AUDITOR)])
def list_feeds(services: ServicesOf) -> list[Feed]:
    """Return the lists."""
    return [Feed.model_validate(feed) for feed in store.Reputation(services.database).feeds()]


@router.get("/verdict", dependencies=[requires(Role.AUDITOR)])
def show_verdict(services: ServicesOf, hash: Annotated[Hash, Query()]) -> Verdicts:  # noqa: A002
    """Return what agents are told of a file."""
    found = store.Reputation(services.database).look_up([hash]).get(hash.lower())
    if found is None:
        return Verdicts(hash=hash, verdict="unknown", source="")
    return Verdicts(hash=hash, verdict=found.verdict, source=found.source)


@router.get("/{source}", dependencies=[requires(Role.AUDITOR)], responses=documented(400))
def list_entries(
    services: ServicesOf, source: Source, limit: Limit = LIMIT, after: After = ""
) -> Page[Entry]:
    """Return the entries of a list in the order of their hashes."""
    begin = place(after, str)
    behind = begin[0] if begin else ""
    rows = store.Reputation(services.database).entries(source, behind, limit + 1)
    told = [Entry.model_validate(row) for row in rows]
    return page(told, limit, lambda entry: (entry.hash,))


@router.post("/{source}", dependencies=_ACTING)
def add_entries(services: ServicesOf, source: Source, lines: Lines) -> Count:
    """Put files on a list, all or none."""
    given = [
        store.Entry(line.hash, line.verdict, source, line.expires_us, line.note)
        for line in lines.entries
    ]
    reputation = store.Reputation(services.database)
    return Count(entries=reputation.load(source, given, replace=lines.replace))


@router.delete("/{source}", dependencies=_ACTING, responses=documented(404))
def remove_feed(services: ServicesOf, source: Source) -> Count:
    """Delete a list."""
    return Count(entries=store.Reputation(services.database).remove(source))


@router.delete("/{source}/{hash}", dependencies=_ACTING, responses=documented(404))
def remove_entry(
    services: ServicesOf,
    source: Source,
    hash: Annotated[Hash, Path()],  # noqa: A002
) -> Count:
    """Take a file off a list."""
    return Count(entries=store.Reputation(services.database).remove(source, hash))
