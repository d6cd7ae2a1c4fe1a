"""The commands ``deodar agent task …``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import Annotated, Any

import typer

from deodar.agent import cli_settings
from deodar.agent.cli_options import DEFAULT, Directory, Json, opened, print_json, say
from deodar.agent.status_text import plain

app = typer.Typer(no_args_is_help=True, help="Tasks of the agent, as KESL has them.")
settings_app = typer.Typer(no_args_is_help=True, help="Settings of one task.")
app.add_typer(settings_app, name="settings")

Task = Annotated[str, typer.Argument(help="The task's number or name.")]
Words = Annotated[list[str] | None, typer.Argument(help="Name=Value.", metavar="[NAME=VALUE]...")]
Names = Annotated[list[str] | None, typer.Argument(help="Only these settings.")]


@app.command("list")
def list_(directory: Directory = DEFAULT, as_json: Json = False) -> None:
    """Show all tasks and their states."""
    from deodar.agent.cli_reach import call  # noqa: PLC0415 - --help stays quick

    states = call(opened(directory), "task.list")
    if as_json:
        print_json(states)
        return
    width = max(len(state["name"]) for state in states)
    for state in states:
        say(f"{state['id']:>4}  {state['name']:<{width}}  {_state(state)}")


@app.command()
def state(task: Task, directory: Directory = DEFAULT, as_json: Json = False) -> None:
    """Show the state of one task."""
    _do("task.state", task, directory, as_json=as_json)


@app.command()
def start(task: Task, directory: Directory = DEFAULT, as_json: Json = False) -> None:
    """Start a task; exit code 70 if it is started already."""
    _do("task.start", task, directory, as_json=as_json)


@app.command()
def stop(task: Task, directory: Directory = DEFAULT, as_json: Json = False) -> None:
    """Stop a task; exit code 70 if it is stopped already."""
    _do("task.stop", task, directory, as_json=as_json)


@settings_app.command("get")
def get(
    task: Task,
    names: Names = None,
    file: Annotated[Path | None, typer.Option(help="Write them to this file.")] = None,
    directory: Directory = DEFAULT,
    as_json: Json = False,
) -> None:
    """Show a task's settings as INI, or single ones as Name=Value."""
    cli_settings.show(opened(directory), task, names or [], file, as_json=as_json)


@settings_app.command("set")
def set_(
    task: Task,
    words: Words = None,
    file: Annotated[Path | None, typer.Option(help="Take them from this file.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Back to the defaults.")] = False,
    directory: Directory = DEFAULT,
    as_json: Json = False,
) -> None:
    """Change a task's settings; exit code 2 for a wrong value, 68 if the server's policy says no.

    A file is INI, or JSON with --json.
    """
    source = cli_settings.Source(words or [], file, default=default)
    cli_settings.change(opened(directory), task, source, as_json=as_json)


def _do(name: str, task: str, directory: Path, *, as_json: bool) -> None:
    from deodar.agent.cli_reach import call  # noqa: PLC0415

    state = call(opened(directory), name, task=task)
    if as_json:
        print_json(state)
    else:
        say(f"{state['name']} ({state['id']}): {_state(state)}")


def _state(state: dict[str, Any]) -> str:
    error = plain(state["error"])
    return f"{state['state']}: {error}" if error else str(state["state"])
