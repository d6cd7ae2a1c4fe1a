"""The commands ``deodar edr user …``: who may use the REST API and the console.

The first administrator is made here. A password is asked for at the terminal, or read from standard
input, or made up; it is never an argument, which others on the host could see.
"""

from __future__ import annotations

import contextlib
import getpass
import secrets
import sys
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from deodar.edr import output
from deodar.edr.errors import EdrError
from deodar.edr.installation import open_
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time
from deodar.edr.users import passwords
from deodar.edr.users.accounts import User, Users
from deodar.edr.users.roles import Role  # noqa: TC001  # typer reads it at run time
from deodar.edr.users.sessions import Session, Sessions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

app = typer.Typer(no_args_is_help=True, help="Users of the REST API and the console.")

Name = Annotated[str, typer.Argument(help="The user's name.")]
Stdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
Generate = Annotated[
    bool, typer.Option("--generate", help="Make a password up and print it, this once.")
]
_COLUMNS = {
    "name": "Name",
    "role": "Role",
    "created_us": "Made",
    "password_us": "Password set",
    "disabled_us": "Disabled",
    "last_login_us": "Last login",
}
_SESSION_COLUMNS = {
    "address": "Address",
    "client": "Client",
    "created_us": "Begun",
    "used_us": "Last used",
}


class _WithPassword(msgspec.Struct):
    user: User
    password: str


@app.command()
def add(
    directory: Directory,
    name: Name,
    role: Annotated[Role, typer.Option(help="What the user may do.")],
    password_stdin: Stdin = False,
    generate: Generate = False,
    as_json: Json = False,
) -> None:
    """Add a user; begin with an administrator."""
    with _users(directory) as users:
        password = _password(stdin=password_stdin, generate=generate)
        made = users.add(name, role, password)
    _show_with_password(made, password if generate else "", as_json=as_json)


@app.command("list")
def list_(directory: Directory, as_json: Json = False) -> None:
    """Show all users."""
    with _users(directory) as users:
        _show(users.list(), as_json=as_json)


@app.command()
def role(
    directory: Directory,
    name: Name,
    role: Annotated[Role, typer.Argument(help="What the user may do from now on.")],
    as_json: Json = False,
) -> None:
    """Give a user another role; their sessions end."""
    with _users(directory) as users:
        _show([users.change(name, role=role)], as_json=as_json)


@app.command()
def password(
    directory: Directory,
    name: Name,
    password_stdin: Stdin = False,
    generate: Generate = False,
    as_json: Json = False,
) -> None:
    """Give a user another password; their sessions end."""
    with _users(directory) as users:
        users.find(name)
        given = _password(stdin=password_stdin, generate=generate)
        changed = users.set_password(name, given)
    _show_with_password(changed, given if generate else "", as_json=as_json)


@app.command()
def disable(directory: Directory, name: Name, as_json: Json = False) -> None:
    """Let a user in no more; their sessions end, and their API tokens do not count."""
    with _users(directory) as users:
        _show([users.change(name, disabled=True)], as_json=as_json)


@app.command()
def enable(directory: Directory, name: Name, as_json: Json = False) -> None:
    """Let a disabled user in again."""
    with _users(directory) as users:
        _show([users.change(name, disabled=False)], as_json=as_json)


@app.command()
def unlock(directory: Directory, name: Name, as_json: Json = False) -> None:
    """Forget a user's failed logins, so that they need not wait."""
    with _users(directory) as users:
        _show([users.unlock(name)], as_json=as_json)


@app.command()
def sessions(directory: Directory, name: Name, as_json: Json = False) -> None:
    """Show a user's sessions, the last used first."""
    opened = open_(directory)
    with contextlib.closing(opened.database()) as database:
        found = Users(database).find(name)
        rows: list[Session] = Sessions(database, opened.settings.sessions).list(found.name)
    if as_json:
        output.print_json(*rows)
    else:
        output.print_table(_SESSION_COLUMNS, rows, f"{name} is not logged in.")


@app.command("log-out")
def log_out(directory: Directory, name: Name, as_json: Json = False) -> None:
    """End all sessions of a user."""
    with _users(directory) as users:
        ended = users.end_sessions(name)
    if as_json:
        output.print_json({"user": name, "ended": ended})
    else:
        output.print_line(f"{ended} sessions of {name} ended")


@app.command()
def remove(directory: Directory, name: Name, as_json: Json = False) -> None:
    """Remove a user with their sessions and API tokens; never the last administrator."""
    with _users(directory) as users:
        _show([users.remove(name)], as_json=as_json)


@contextlib.contextmanager
def _users(directory: Path) -> Iterator[Users]:
    with contextlib.closing(open_(directory).database()) as database:
        yield Users(database)


def _password(*, stdin: bool, generate: bool) -> str:
    if generate:
        return secrets.token_urlsafe(18)
    if stdin:
        return sys.stdin.readline(passwords.LONGEST * 4).rstrip("\r\n")
    if not sys.stdin.isatty():
        raise EdrError("no terminal to ask for a password; use --password-stdin or --generate")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise EdrError("the two passwords are not the same; nothing was changed")
    return first


def _show(users: list[User], *, as_json: bool) -> None:
    if as_json:
        output.print_json(*users)
    else:
        nothing = "There are no users; begin with: deodar edr user add NAME --role administrator"
        output.print_table(_COLUMNS, users, nothing)


def _show_with_password(user: User, password: str, *, as_json: bool) -> None:
    if not password:
        _show([user], as_json=as_json)
    elif as_json:
        output.print_json(_WithPassword(user, password))
    else:
        output.print_line(f"The password of {user.name}, not shown again: {password}")
