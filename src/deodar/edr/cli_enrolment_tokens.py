"""The commands ``deodar edr enrolment-tokens …``; ``deodar edr enroll`` makes them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from deodar.edr import output
from deodar.edr.enrolment_tokens import EnrolmentToken, EnrolmentTokens
from deodar.edr.installation import open_
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

app = typer.Typer(no_args_is_help=True, help="Enrolment tokens that were made.")

_COLUMNS = {
    "id": "ID",
    "note": "For",
    "created_us": "Made",
    "expires_us": "Expires",
    "used_us": "Used",
    "agent_id": "By agent",
}


@app.command("list")
def list_(
    directory: Directory,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 100,
    as_json: Json = False,
) -> None:
    """Show enrolment tokens, the newest first."""
    with _tokens(directory) as tokens:
        _show(tokens.list(limit=limit), as_json=as_json)


@app.command()
def revoke(
    directory: Directory,
    token: Annotated[str, typer.Argument(help="Its ID in the list.")],
    as_json: Json = False,
) -> None:
    """Forget an enrolment token: no agent can use it any more."""
    with _tokens(directory) as tokens:
        _show([tokens.revoke(token)], as_json=as_json)


@contextlib.contextmanager
def _tokens(directory: Path) -> Iterator[EnrolmentTokens]:
    with contextlib.closing(open_(directory).database()) as database:
        yield EnrolmentTokens(database)


def _show(tokens: list[EnrolmentToken], *, as_json: bool) -> None:
    if as_json:
        output.print_json(*tokens)
    else:
        output.print_table(_COLUMNS, tokens, "No token was made; begin with: deodar edr enroll")
