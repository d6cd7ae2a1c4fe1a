"""``deodar siem filter``: check conditions on events and try them, without a collector."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from deodar.kit.errors import SettingsError
from deodar.siem.cli_options import Json, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.siem.pipeline.filters.expressions import Expression

app = typer.Typer(no_args_is_help=True)
MAX_LINE = 4 << 20

Code = Annotated[
    str, typer.Argument(metavar="CONDITION", help="The condition; @FILE reads it from a file.")
]
Nodes = Annotated[
    bool, typer.Option("--nodes", help="It is in KUMA's node form (JSON), not in code form.")
]
Dictionary = Annotated[
    list[str],
    typer.Option("--dictionary", metavar="NAME=FILE", help="A CSV file that inDictionary asks."),
]


@app.command()
def check(code: Code, nodes: Nodes = False, as_json: Json = False) -> None:
    """Check a condition, and print it as it is understood, in code form."""
    from deodar.siem.pipeline.filters.text import code as written  # noqa: PLC0415 - slow to import

    text = written(_expression(code, nodes))
    if as_json:
        print_json({"code": text})
    else:
        typer.echo(text)


@app.command(name="try")
def try_(
    code: Code,
    events: Annotated[
        str,
        typer.Option(
            "--events",
            metavar="FILE",
            help="Normalized events, JSON, one a line, as `search --json` prints them; -: input.",
        ),
    ] = "-",
    nodes: Nodes = False,
    dictionary: Dictionary = [],  # noqa: B006 - typer copies it
    as_json: Json = False,
) -> None:
    """Try a condition on events: tell for each whether it passes, and what each part gave."""
    from deodar.siem.pipeline.filters.trial import Trial  # noqa: PLC0415 - slow to import

    trial = Trial(_expression(code, nodes), _dictionaries(dictionary))
    passed = found = 0
    for number, event in enumerate(_events(events), 1):
        result = trial.of(event)
        found += 1
        passed += result.passes
        if as_json:
            print_json({"event": number, "passes": result.passes, "parts": dict(result.parts)})
            continue
        typer.echo(f"{number}: {'passes' if result.passes else 'is dropped'}")
        for part, met in result.parts:
            typer.echo(f"   {'yes' if met else 'no ':3} {part}")
    if not as_json:
        typer.echo(f"{passed} of {found} events pass")


def _expression(code: str, nodes: bool) -> Expression:
    from deodar.siem.pipeline.filters.nodes import from_json  # noqa: PLC0415 - slow to import
    from deodar.siem.pipeline.filters.parser import parse  # noqa: PLC0415

    text = _read(code[1:]) if code.startswith("@") else code
    return from_json(text) if nodes else parse(text)


def _dictionaries(written: list[str]) -> dict[str, dict[str, str]]:
    from deodar.siem.pipeline import dictionaries  # noqa: PLC0415 - slow to import

    tables = []
    for text in written:
        name, equals, file = text.partition("=")
        if not equals:
            raise SettingsError(f"--dictionary {text}: write it as NAME=FILE")
        tables.append({"name": name, "file": file})
    settings = dictionaries.read(tables, "--dictionary")
    loaded = dictionaries.load(settings, Path())
    return {name: dict(table) for name, table in loaded.tables.items()}


def _read(name: str) -> str:
    try:
        return Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {name}: {error}") from error


def _events(name: str) -> Iterator[dict[str, Any]]:
    try:
        file = sys.stdin.buffer if name == "-" else Path(name).open("rb")  # noqa: SIM115
    except OSError as error:
        raise SettingsError(f"cannot read {name}: {error.strerror}") from error
    with file:
        number = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            if line.strip():
                yield _event(line, f"{name}, line {number}")


def _event(line: bytes, where: str) -> dict[str, Any]:
    if len(line) > MAX_LINE:
        raise SettingsError(f"{where}: an event has at most {MAX_LINE} bytes")
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise SettingsError(f"{where}: no JSON object: {error}") from error
