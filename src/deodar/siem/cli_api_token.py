"""``deodar siem api-token`` and ``audit``: who may use the REST API, and what was done."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from deodar.siem.cli_options import Dir, Json, plain, print_json, when
from deodar.siem.cli_service import services
from deodar.siem.services.roles import Role

app = typer.Typer(no_args_is_help=True)


@app.command()
def create(
    user: Annotated[str, typer.Argument(help="Whose it is; for the audit trail.")],
    path: Dir,
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.VIEWER,
    days: Annotated[float, typer.Option(help="How long it is good; up to 366 days.")] = 90.0,
    as_json: Json = False,
) -> None:
    """Make an API token; its secret is shown this once."""
    from deodar.siem.services.api_tokens import ApiTokens  # noqa: PLC0415 - it needs a database

    with services(path) as core:
        made = ApiTokens(core.database).make(user, role, days)
    if as_json:
        print_json(msgspec.to_builtins(made))
    else:
        typer.echo(made.secret)


@app.command(name="list")
def list_(path: Dir, as_json: Json = False) -> None:
    """List the API tokens that are not outdated."""
    from deodar.siem.services.api_tokens import ApiTokens  # noqa: PLC0415

    with services(path) as core:
        tokens = ApiTokens(core.database).list()
    for one in tokens:
        if as_json:
            print_json(msgspec.to_builtins(one))
        else:
            ends = when(one.expires_us / 1e6).partition(" (")[0]
            used = when(one.used_us / 1e6)
            typer.echo(f"{one.id}  {one.user}  {one.role}  until {ends}  used {used}")


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(help="Its id in the list.")],
    path: Dir,
    as_json: Json = False,
) -> None:
    """End an API token at once."""
    from deodar.siem.services.api_tokens import ApiTokens  # noqa: PLC0415

    with services(path) as core:
        ApiTokens(core.database).revoke(token)
    if as_json:
        print_json({"id": token, "revoked": True})
    else:
        typer.echo(f"{token} is revoked")


def audit(
    path: Dir,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the newest changes of sets and services, and what the core noticed of services."""
    from deodar.siem.services.audit import latest  # noqa: PLC0415

    with services(path) as core:
        rows = latest(core.database, limit)
    for row in rows:
        if as_json:
            print_json(msgspec.to_builtins(row))
        else:
            moment = when(row.time_us / 1e6).partition(" (")[0]
            text = f"{moment}  {row.user}  {row.action}  {row.subject}  {row.details}"
            typer.echo(plain(text).plain.rstrip())
