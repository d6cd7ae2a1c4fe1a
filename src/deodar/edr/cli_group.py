"""The commands ``deodar edr group …``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from deodar.edr import output
from deodar.edr.groups import Group, Groups
from deodar.edr.installation import open_
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

app = typer.Typer(no_args_is_help=True, help="Groups of endpoints; each may have its own policy.")

Name = Annotated[str, typer.Argument(help="The group's name.")]
_COLUMNS = {
    "name": "Group",
    "endpoints": "Endpoints",
    "policy_version": "Policy",
    "note": "Note",
    "created_us": "Made",
}


@app.command("list")
def list_(directory: Directory, as_json: Json = False) -> None:
    """Show all groups, and which version of a policy each follows."""
    with _groups(directory) as groups:
        _show(groups.list(), as_json=as_json)


@app.command()
def add(
    directory: Directory,
    name: Name,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: Json = False,
) -> None:
    """Make a group. Its policy: deodar edr policy set FILE --group NAME."""
    with _groups(directory) as groups:
        _show([groups.add(name, note)], as_json=as_json)


@app.command()
def remove(directory: Directory, name: Name, as_json: Json = False) -> None:
    """Remove a group that has no endpoints, and its policy."""
    with _groups(directory) as groups:
        groups.remove(name)
    if as_json:
        output.print_json({"removed": name})
    else:
        output.print_line(f"the group {name} was removed")


@contextlib.contextmanager
def _groups(directory: Path) -> Iterator[Groups]:
    with contextlib.closing(open_(directory).database()) as database:
        yield Groups(database)


def _show(groups: list[Group], *, as_json: bool) -> None:
    if as_json:
        output.print_json(*groups)
    else:
        output.print_table(_COLUMNS, groups, "There is no group.")
