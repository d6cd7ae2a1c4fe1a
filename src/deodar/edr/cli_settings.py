"""The commands ``deodar edr settings …``: what can be changed while the server runs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from deodar.edr import output
from deodar.edr.installation import open_
from deodar.edr.live_settings import Setting, SettingsStore
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

app = typer.Typer(
    no_args_is_help=True,
    help="Settings that take effect within a second, on every server with this database.",
)

Name = Annotated[str, typer.Argument(help="The setting, such as events_api.max_events.")]
_COLUMNS = {
    "name": "Setting",
    "value": "Value",
    "file_value": "In edr.toml",
    "changed_us": "Changed",
    "user": "By",
}


@app.command("list")
def list_(directory: Directory, as_json: Json = False) -> None:
    """Show the settings with the values in force."""
    with _store(directory) as store:
        _show(store.list(), as_json=as_json)


@app.command()
def get(directory: Directory, name: Name, as_json: Json = False) -> None:
    """Show one setting."""
    with _store(directory) as store:
        found = store.get(name)
    if as_json:
        output.print_json(found)
    else:
        output.print_line(output.plain(found.value))


@app.command("set")
def set_(
    directory: Directory,
    name: Name,
    value: Annotated[str, typer.Argument(help="The new value; times are in seconds.")],
    as_json: Json = False,
) -> None:
    """Change a setting."""
    with _store(directory) as store:
        _show([store.set(name, value)], as_json=as_json)


@app.command()
def reset(directory: Directory, name: Name, as_json: Json = False) -> None:
    """Let the value of edr.toml hold again."""
    with _store(directory) as store:
        _show([store.reset(name)], as_json=as_json)


@contextlib.contextmanager
def _store(directory: Path) -> Iterator[SettingsStore]:
    opened = open_(directory)
    with contextlib.closing(opened.database()) as database:
        yield SettingsStore(database, opened.settings)


def _show(settings: list[Setting], *, as_json: bool) -> None:
    if as_json:
        output.print_json(*settings)
    else:
        output.print_table(_COLUMNS, settings, "There is nothing to change.")
