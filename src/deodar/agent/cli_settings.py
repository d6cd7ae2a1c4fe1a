"""The commands ``deodar agent settings …``: the general settings, and all settings at once."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deodar.agent.cli_options import DEFAULT, Directory, Json, opened, print_json, say
from deodar.agent.status_text import plain

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory
    from deodar.tasks.settings import Values

app = typer.Typer(no_args_is_help=True, help="General settings; all settings at once.")

APPLICATION = "Application"
LARGEST = 4 << 20

Words = Annotated[list[str] | None, typer.Argument(help="Name=Value.", metavar="[NAME=VALUE]...")]
Names = Annotated[list[str] | None, typer.Argument(help="Only these settings.")]


@dataclass(frozen=True)
class Source:
    """Where changed settings come from: words, a file, or the defaults; exactly one of them."""

    words: list[str]
    file: Path | None
    default: bool


@app.command()
def get(
    names: Names = None,
    file: Annotated[Path | None, typer.Option(help="Write them to this file.")] = None,
    directory: Directory = DEFAULT,
    as_json: Json = False,
) -> None:
    """Show the general settings as INI, or single ones as Name=Value."""
    show(opened(directory), APPLICATION, names or [], file, as_json=as_json)


@app.command("set")
def set_(
    words: Words = None,
    file: Annotated[Path | None, typer.Option(help="Take them from this file.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Back to the defaults.")] = False,
    directory: Directory = DEFAULT,
    as_json: Json = False,
) -> None:
    """Change the general settings; a file is INI, or JSON with --json."""
    source = Source(words or [], file, default=default)
    change(opened(directory), APPLICATION, source, as_json=as_json)


@app.command()
def export(
    file: Annotated[Path | None, typer.Option(help="Write to this file.")] = None,
    directory: Directory = DEFAULT,
    as_json: Json = False,
) -> None:
    """Show all settings, of all tasks and general, in one text; passwords as ***."""
    from deodar.agent.cli_reach import call  # noqa: PLC0415 - --help stays quick
    from deodar.tasks.exports import all_to_ini, to_json  # noqa: PLC0415

    everything = call(opened(directory), "settings.export")
    put(to_json(everything) if as_json else all_to_ini(everything), file)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Option(help="What an export wrote; - for standard input.")],
    directory: Directory = DEFAULT,
    as_json: Json = False,
) -> None:
    """Set all settings of a file, or none of them; INI, or JSON with --json."""
    from deodar.agent.cli_reach import call  # noqa: PLC0415
    from deodar.tasks.exports import all_from_ini, all_from_json  # noqa: PLC0415

    read = all_from_json if as_json else all_from_ini
    everything = read(_content(file), str(file))
    _report(call(opened(directory), "settings.import", values=everything), as_json=as_json)


def show(
    directory: StateDirectory, task: str, names: list[str], file: Path | None, *, as_json: bool
) -> None:
    """Print a task's settings, or write them to a file."""
    from deodar.agent.cli_reach import call  # noqa: PLC0415
    from deodar.tasks.exports import to_json  # noqa: PLC0415
    from deodar.tasks.ini import to_ini  # noqa: PLC0415

    found = call(directory, "settings.get", task=task, names=names)
    if names:
        single = found["single"]
        text = to_json(dict(single)) if as_json else "".join(f"{n}={v}\n" for n, v in single)
    else:
        text = to_json(found["values"]) if as_json else to_ini(found["values"])
    put(text, file)


def change(directory: StateDirectory, task: str, source: Source, *, as_json: bool) -> None:
    """Change a task's settings and print what became of it."""
    from deodar.agent.cli_reach import call  # noqa: PLC0415
    from deodar.tasks.codes import Code  # noqa: PLC0415
    from deodar.tasks.errors import TaskError  # noqa: PLC0415

    if (bool(source.words) + (source.file is not None) + source.default) != 1:
        raise TaskError("give Name=Value words, --file FILE or --default: one of them", Code.SYNTAX)
    if source.default:
        changed = call(directory, "settings.default", task=task)
    else:
        changed = call(directory, "settings.set", task=task, values=_values(task, source, as_json))
    _report(changed, as_json=as_json)


def put(text: str, file: Path | None) -> None:
    """Print a text, or write it to a file, which only its owner may read if it is new.

    Raises SettingsError when the file cannot be written.
    """
    if file is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        file.touch(mode=0o600)
        file.write_text(text, "utf-8")
    except OSError as error:
        raise _trouble(f"cannot write {file}: {error.strerror}") from error


def _values(task: str, source: Source, as_json: bool) -> Values:
    from deodar.tasks.declarations import KINDS, find_name  # noqa: PLC0415
    from deodar.tasks.exports import from_json  # noqa: PLC0415
    from deodar.tasks.ini import assignment, from_ini  # noqa: PLC0415

    kind = KINDS[find_name(task)]
    if source.file is None:
        return assignment(source.words, kind)
    read = from_json if as_json else from_ini
    return read(_content(source.file), kind, str(source.file))


def _content(file: Path) -> bytes:
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with file.open("rb") as opened_file:
                data = opened_file.read(LARGEST + 1)
    except OSError as error:
        raise _trouble(f"cannot read {file}: {error.strerror}") from error
    if len(data) > LARGEST:
        raise _trouble(f"{file} is larger than {LARGEST} bytes: these are no settings")
    return data


def _report(change: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(change)
        return
    for name in change["ignored"]:
        typer.echo(f"ignored, without a function here: {plain(name)}", err=True)
    say(f"changed: {', '.join(change['changed'])}" if change["changed"] else "nothing changed")


def _trouble(text: str) -> Exception:
    from deodar.tasks.errors import TaskError  # noqa: PLC0415

    return TaskError(text)
