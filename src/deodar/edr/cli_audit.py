"""The commands ``deodar edr audit …``: who changed what, and the proof that nobody changed that."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from deodar.edr import output
from deodar.edr.audit import AuditBroken, Entry, Trail, Wanted
from deodar.edr.audit_chain import Place
from deodar.edr.errors import BadRequest
from deodar.edr.installation import open_
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

app = typer.Typer(no_args_is_help=True, help="The audit trail.")

_COLUMNS = {
    "number": "Number",
    "time_us": "Time",
    "user": "By",
    "address": "From",
    "action": "Action",
    "subject": "Subject",
    "details": "Details",
    "before": "Before",
    "after": "After",
}
_HASH_DIGITS = 64
_LONGEST_NUMBER = 18


@app.command("list")
def list_(
    directory: Directory,
    user: Annotated[str, typer.Option(help="Only by this user.")] = "",
    action: Annotated[str, typer.Option(help="Only actions that begin so.")] = "",
    subject: Annotated[str, typer.Option(help="Only about this.")] = "",
    since: Annotated[str, typer.Option(help="From this time on (ISO 8601, UTC if not said).")] = "",
    until: Annotated[str, typer.Option(help="Before this time.")] = "",
    before: Annotated[int, typer.Option(help="Only those with lower numbers.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 100,
    as_json: Json = False,
) -> None:
    """Show entries, the newest first."""
    wanted = Wanted(user, action, subject, _us("--since", since), _us("--until", until))
    with _trail(directory) as trail:
        _show(trail.list(wanted, before, limit), as_json=as_json)


@app.command()
def verify(
    directory: Directory,
    noted: Annotated[
        str, typer.Option(help="NUMBER:HASH that an earlier check printed; must still be there.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Check that no entry was changed, removed or added behind the product's back (else exit 5)."""
    place = _place(noted) if noted else None
    with _trail(directory) as trail:
        verdict = trail.verify(place)
    if as_json:
        output.print_json(verdict)
    elif not verdict.problem:
        output.print_line(f"{verdict.rows} entries are as they were written")
        output.print_line(f"The last one, to be noted elsewhere: {verdict.number}:{verdict.hash}")
    if verdict.problem:
        raise AuditBroken(f"the audit trail is not as it was written: {verdict.problem}")


@contextlib.contextmanager
def _trail(directory: Path) -> Iterator[Trail]:
    with contextlib.closing(open_(directory).database()) as database:
        yield Trail(database)


def _us(option: str, text: str) -> int:
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0, int(aware.timestamp() * 1_000_000))
    except (ValueError, OverflowError) as error:
        raise BadRequest(
            f"{option}: '{text[:40]}' is no time such as 2026-01-31T12:00:00"
        ) from error


def _place(text: str) -> Place:
    number, _, digest = text.partition(":")
    good = number.isascii() and number.isdecimal() and 0 < len(number) <= _LONGEST_NUMBER
    if not good or len(digest) != _HASH_DIGITS:
        raise BadRequest("--noted: expected NUMBER:HASH, as an earlier check printed it")
    return Place(int(number), digest)


def _show(entries: list[Entry], *, as_json: bool) -> None:
    if as_json:
        output.print_json(*entries)
    else:
        output.print_table(_COLUMNS, entries, "There is nothing in the audit trail.")
