"""The one command, ``deodar``: it finds the program that was asked for and reports its errors.

A program is imported only when it is the one asked for: an endpoint has the agent's few packages
installed and none of the server's, and starting must stay quick.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from deodar import __version__
from deodar.kit.errors import DeodarError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Program(NamedTuple):
    """One program of the command line: where its typer app is, and what installs it."""

    module: str
    extra: str
    help: str
    usage: int = 2
    """Exit code of wrong usage."""


PROGRAMS = {
    "agent": Program("deodar.agent.cli", "agent", "The agent on an endpoint.", 1),  # as KESL
    "edr": Program("deodar.edr.cli", "edr", "The EDR server that takes and serves telemetry."),
    "siem": Program("deodar.siem.cli", "siem", "The SIEM: collectors, storage, search."),
    "demo": Program("deodar.demo.cli", "all", "All three on this host, with a live table."),
}


WRONG_USAGE = 2
"""What the library of the command line ends with."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Exit codes: 0 done; 1 an error, told in one line; 2 wrong usage or settings; 3 a state folder
    is missing, in use or damaged; 130 interrupted. Wrong usage of the agent's commands is 1.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _run(words)
    except DeodarError as error:
        typer.echo(f"deodar: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output, `head` say, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _run(words: list[str]) -> None:
    """Run the words; a command that is not written as it must be ends with its program's code."""
    app = build(words)
    try:
        app(args=words, prog_name="deodar")
    except SystemExit as end:
        program = PROGRAMS.get(_asked(words) or "")
        if end.code == WRONG_USAGE and program is not None:
            sys.exit(program.usage)
        raise


def _asked(words: Sequence[str]) -> str | None:
    return next((word for word in words if not word.startswith("-")), None)


def build(words: Sequence[str]) -> typer.Typer:
    """Return the typer app for these words; raises DeodarError when its packages are missing."""
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="An open EDR-to-SIEM pipeline for Linux.",
    )
    app.callback()(_options)
    asked = _asked(words)
    for name, program in PROGRAMS.items():
        app.add_typer(
            _load(program) if name == asked else typer.Typer(), name=name, help=program.help
        )
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def _load(program: Program) -> typer.Typer:
    try:
        app = importlib.import_module(program.module).app
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("deodar"):
            raise
        raise DeodarError(
            f"the package {error.name} is not installed; run: pip install 'deodar[{program.extra}]'"
        ) from error
    if not isinstance(app, typer.Typer):
        raise TypeError(f"{program.module}.app is no typer app")
    return app
