"""The commands ``deodar edr yara …``: the rules by which files are scanned."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path  # noqa: TC003  # typer reads it at run time
from typing import TYPE_CHECKING, Annotated

import typer

from deodar.edr import output
from deodar.edr.errors import EdrError
from deodar.edr.installation import open_
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time
from deodar.edr.scanning.rules import LARGEST, Rules, RuleSet

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(no_args_is_help=True, help="YARA rules for files that external systems send.")

_COLUMNS = {
    "name": "Name",
    "rules": "Rules",
    "digest": "SHA-256",
    "user": "By",
    "added_us": "Added",
}
Name = Annotated[str, typer.Argument(help="The name of the rules.")]


@app.command()
def add(
    directory: Directory,
    file: Annotated[Path, typer.Argument(help="YARA rules, UTF-8; - for standard input.")],
    name: Annotated[str, typer.Option(help="A name for them; else the file's.")] = "",
    as_json: Json = False,
) -> None:
    """Take rules, once they compile, in place of those of the same name."""
    text = _read(file)
    with _rules(directory) as rules:
        _show([rules.add(name or file.stem, text)], as_json=as_json)


@app.command("list")
def list_(directory: Directory, as_json: Json = False) -> None:
    """Show the rules."""
    with _rules(directory) as rules:
        _show(rules.list(), as_json=as_json)


@app.command()
def show(directory: Directory, name: Name) -> None:
    """Print the text of rules."""
    with _rules(directory) as rules:
        sys.stdout.write(rules.text(name))


@app.command()
def remove(directory: Directory, name: Name, as_json: Json = False) -> None:
    """Delete rules."""
    with _rules(directory) as rules:
        _show([rules.remove(name)], as_json=as_json)


def _read(file: Path) -> str:
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with file.open("rb") as opened:
                data = opened.read(LARGEST + 1)
        return data.decode()
    except OSError as error:
        raise EdrError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise EdrError(f"{file} is not UTF-8: byte {error.start}") from error


@contextlib.contextmanager
def _rules(directory: Path) -> Iterator[Rules]:
    with contextlib.closing(open_(directory).database()) as database:
        yield Rules(database)


def _show(found: list[RuleSet], *, as_json: bool) -> None:
    if as_json:
        output.print_json(*found)
    else:
        output.print_table(_COLUMNS, found, "No YARA rules yet; begin with: deodar edr yara add")
