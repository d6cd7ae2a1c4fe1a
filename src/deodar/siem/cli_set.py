"""``deodar siem resource-set``: settings of services, kept by the core with all versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from deodar.kit.errors import SettingsError
from deodar.siem.cli_options import Dir, Json, plain, print_json, when
from deodar.siem.cli_service import services

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The set's name.")]
File = Annotated[Path, typer.Argument(help="Its settings, TOML.", metavar="FILE")]
Files = Annotated[
    list[str],
    typer.Option(
        "--file", metavar="NAME=PATH", help="A file that the settings name; may be repeated."
    ),
]


@app.command()
def check(file: File, files: Files = [], as_json: Json = False) -> None:  # noqa: B006
    """Say whether settings could be a set, without saving them."""
    from deodar.siem.services import resource_set  # noqa: PLC0415 - slow to import

    where, given = str(file), _files(files)
    text = resource_set.completed(_text(file), where=where)
    named = resource_set.secret_named(text, where=where)
    resource_set.check(text, {*given, named}, where=where)
    if as_json:
        print_json({"file": where, "good": True})
    else:
        typer.echo(f"{file} can be a resource set")


@app.command()
def save(
    name: Name,
    file: File,
    path: Dir,
    files: Files = [],  # noqa: B006 - typer copies it
    note: Annotated[str, typer.Option(help="What changed, for the list of versions.")] = "",
    reload: Annotated[
        bool, typer.Option("--reload", help="Have its services take it in their processes.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Have its services restart.")] = False,
    as_json: Json = False,
) -> None:
    """Save a set's next version; services take it when they are told to."""
    with services(path) as core:
        saved = core.sets.save(name, _text(file), _files(files), note)
        for service in core.sets.row(name).services if reload or restart else ():
            (core.register.restart if restart else core.register.reload)(service)
    if as_json:
        print_json(msgspec.to_builtins(saved))
        return
    what = "is saved" if saved.changed else "is what there was already"
    typer.echo(f"{saved.name}: version {saved.version} {what}")
    if saved.external_id:
        typer.echo(
            f"  external id              {saved.external_id}\n"
            f"  certificate (SHA-256)    {saved.certificate_sha256}\n"
            "Both must be those that the EDR server's administrator sees when accepting it."
        )


@app.command(name="list")
def list_(path: Dir, as_json: Json = False) -> None:
    """List the sets, with the services that are made of them."""
    with services(path) as core:
        rows = core.sets.all()
    if as_json:
        for row in rows:
            print_json(msgspec.to_builtins(row))
        return
    table = Table(show_edge=False)
    for heading in ("set", "version", "changed", "services"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        names = plain(", ".join(row.services) or "-")
        table.add_row(row.name, str(row.version), when(row.changed_us / 1e6), names)
    Console().print(table if rows else "there are no resource sets")


@app.command()
def show(
    name: Name,
    path: Dir,
    version: Annotated[int, typer.Option(min=0, help="0: the newest.")] = 0,
    as_json: Json = False,
) -> None:
    """Print a version's settings as they were saved, with the names of its files."""
    with services(path) as core:
        found = core.sets.version(name, version)
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    typer.echo(found.settings, nl=not found.settings.endswith("\n"))
    for file, id_ in found.files.items():
        typer.echo(f"# file {file} (content {id_[:12]})")


@app.command()
def versions(name: Name, path: Dir, as_json: Json = False) -> None:
    """List a set's versions, the newest first."""
    with services(path) as core:
        found = core.sets.versions(name)
    for one in found:
        if as_json:
            print_json(msgspec.to_builtins(one))
        else:
            saved = when(one.saved_us / 1e6)
            typer.echo(f"{one.version:>5}  {saved}  {plain(one.user)}  {plain(one.note)}".rstrip())


@app.command()
def delete(name: Name, path: Dir, as_json: Json = False) -> None:
    """Forget a set with all its versions and files; refused while services are made of it."""
    with services(path) as core:
        row = core.sets.delete(name)
    if as_json:
        print_json({"name": row.name, "deleted": True})
    else:
        typer.echo(f"{row.name} is deleted")


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {file}: {error}") from error


def _files(given: list[str]) -> dict[str, bytes]:
    found = {}
    for text in given:
        name, separator, path = text.partition("=")
        if not separator:
            raise SettingsError(f"--file {text}: write it NAME=PATH")
        try:
            found[name] = Path(path).read_bytes()
        except OSError as error:
            raise SettingsError(f"--file {text}: cannot read it: {error.strerror}") from error
    return found
