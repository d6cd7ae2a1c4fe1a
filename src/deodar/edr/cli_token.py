"""The commands ``deodar edr token …``: API tokens for scripts."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from deodar.edr import output
from deodar.edr.installation import open_
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time
from deodar.edr.users.api_tokens import ApiToken, ApiTokens
from deodar.edr.users.roles import Role  # noqa: TC001  # typer reads it at run time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

app = typer.Typer(no_args_is_help=True, help="API tokens, by which scripts show who they are.")

_COLUMNS = {
    "id": "ID",
    "user": "User",
    "name": "For",
    "role": "Role",
    "created_us": "Made",
    "expires_us": "Expires",
    "used_us": "Last used",
}


@app.command()
def create(
    directory: Directory,
    user: Annotated[str, typer.Argument(help="Whose token it is.")],
    role: Annotated[Role, typer.Option(help="The user's role, or a lower one.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    days: Annotated[float, typer.Option(help="How long it is good; up to 366 days.")] = 90,
    as_json: Json = False,
) -> None:
    """Make an API token; its secret is shown this once."""
    with _tokens(directory) as tokens:
        made = tokens.make(user, name, role, days)
    if as_json:
        output.print_json(made)
    else:
        output.print_line(made.secret)


@app.command("list")
def list_(
    directory: Directory,
    user: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    as_json: Json = False,
) -> None:
    """Show the API tokens that are not outdated."""
    with _tokens(directory) as tokens:
        _show(tokens.list(user), as_json=as_json)


@app.command()
def revoke(
    directory: Directory,
    token: Annotated[str, typer.Argument(help="Its ID in the list.")],
    as_json: Json = False,
) -> None:
    """End an API token at once."""
    with _tokens(directory) as tokens:
        _show([tokens.revoke(token)], as_json=as_json)


@contextlib.contextmanager
def _tokens(directory: Path) -> Iterator[ApiTokens]:
    with contextlib.closing(open_(directory).database()) as database:
        yield ApiTokens(database)


def _show(tokens: list[ApiToken], *, as_json: bool) -> None:
    if as_json:
        output.print_json(*tokens)
    else:
        output.print_table(_COLUMNS, tokens, "There are no API tokens.")
