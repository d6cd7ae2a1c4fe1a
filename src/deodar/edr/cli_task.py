"""The commands ``deodar edr task …``: what endpoints are told to do once."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
from pathlib import Path  # noqa: TC003  # typer reads it at run time
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from deodar.edr import durations, output
from deodar.edr.enrolment import Endpoints
from deodar.edr.errors import EdrError
from deodar.edr.installation import open_
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time
from deodar.edr.shelves import shelf_of
from deodar.edr.tasking.files import FetchedFiles
from deodar.edr.tasking.tasks import DONE, Tasks
from deodar.response import kinds
from deodar.response.errors import OrderProblem
from deodar.response.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.edr.database import Database
    from deodar.edr.installation import Installation
    from deodar.edr.tasking.tasks import Task

app = typer.Typer(no_args_is_help=True, help="Tasks for endpoints: programs, files, processes.")

EXIT_NOT_DONE = 5
"""Exit code of ``--wait`` when the task was not done."""
_LOOK_EVERY = 0.1
_COLUMNS = {
    "id": "Task",
    "agent_id": "Agent",
    "kind": "Kind",
    "state": "State",
    "user": "By",
    "created_us": "Ordered",
    "ended_us": "Ended",
    "reason": "Reason",
}
Host = Annotated[str, typer.Argument(help="The agent's id, or its host's name.")]
TaskId = Annotated[str, typer.Argument(help="The task's id.")]
Valid = Annotated[str, typer.Option(help="Time in which it must be begun (ISO 8601).")]
Wait = Annotated[float, typer.Option(help="Seconds to wait for its end; 0 for not at all.")]
_WEEK = "P7D"


@app.command()
def run(
    directory: Directory,
    host: Host,
    command: Annotated[str, typer.Argument(help="A path, or a program's name.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Its arguments; put -- before them.")
    ] = None,
    folder: Annotated[str, typer.Option(help="Where it runs.")] = "",
    time_limit: Annotated[int, typer.Option(help="Seconds until it is killed.")] = 300,
    valid: Valid = _WEEK,
    wait: Wait = 0,
    as_json: Json = False,
) -> None:
    """Run a program on an endpoint, as root and without a shell."""
    parameters = {
        "command": command,
        "arguments": shlex.join(arguments or []),
        "working_directory": folder,
        "time_limit": time_limit,
    }
    _order(directory, host, "run_process", parameters, valid, wait, as_json=as_json)


@app.command()
def fetch(
    directory: Directory,
    host: Host,
    path: Annotated[str, typer.Argument(help="The file on the endpoint.")],
    maximum: Annotated[int, typer.Option(help="Bytes; a larger one is not fetched.")] = 64 << 20,
    valid: Valid = _WEEK,
    wait: Wait = 0,
    as_json: Json = False,
) -> None:
    """Fetch a file from an endpoint; get it with: deodar edr task file."""
    parameters = {"path": path, "maximum_bytes": maximum}
    _order(directory, host, "get_file", parameters, valid, wait, as_json=as_json)


@app.command()
def create(
    directory: Directory,
    host: Host,
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}.")],
    parameters: Annotated[
        list[str] | None, typer.Argument(help="NAME=VALUE, each parameter of that kind.")
    ] = None,
    valid: Valid = _WEEK,
    wait: Wait = 0,
    as_json: Json = False,
) -> None:
    """Order a task of any kind."""
    given = _parameters(kind, parameters or [])
    _order(directory, host, kind, given, valid, wait, as_json=as_json)


@app.command("list")
def list_(
    directory: Directory,
    host: Annotated[str, typer.Option(help="Those of one endpoint.")] = "",
    state: Annotated[list[str] | None, typer.Option(help="Those in a state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    as_json: Json = False,
) -> None:
    """Show tasks, the newest first."""
    with _opened(directory) as (_, database):
        agent = Endpoints(database).find(host).agent_id if host else ""
        found = Tasks(database).list(agent, state or (), limit=limit)
    if as_json:
        output.print_json(*found)
    else:
        output.print_table(_COLUMNS, found, "There is no such task.")


@app.command()
def show(directory: Directory, task: TaskId, as_json: Json = False) -> None:
    """Show a task with its result."""
    with _opened(directory) as (_, database):
        _show(Tasks(database).find(task), as_json=as_json)


@app.command()
def remove(directory: Directory, task: TaskId, as_json: Json = False) -> None:
    """Withdraw a task that was not begun yet; external systems see it no more."""
    with _opened(directory) as (_, database):
        _show(Tasks(database).remove(task), as_json=as_json)


@app.command()
def file(
    directory: Directory,
    task: TaskId,
    to: Annotated[
        Path | None, typer.Option(help="Where to write it; - for standard output.")
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete it on the server then.")] = False,
    as_json: Json = False,
) -> None:
    """Get the file that a task fetched, or delete it."""
    with _opened(directory) as (opened, database):
        shelf = shelf_of(opened, database)
        files = FetchedFiles(database, shelf, opened.settings.tasking)
        found = files.of_task(task)
        if to is not None:
            _write(files.content(found), to)
        if delete:
            files.remove(task)
    if to is None or str(to) != "-":
        output.print_json(found) if as_json else output.print_line(
            f"{found.sha256}  {output.plain(found.path)}  {found.size} bytes"
        )


def _order(
    directory: Path,
    host: str,
    kind: str,
    parameters: dict[str, Any],
    valid: str,
    wait: float,
    *,
    as_json: bool,
) -> None:
    with _opened(directory) as (_, database):
        tasks = Tasks(database)
        agent = Endpoints(database).find(host).agent_id
        made = tasks.create(agent, kind, parameters, lifetime=durations.parse(valid))
        deadline = time.monotonic() + wait
        while wait and not made.ended_us and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY)
            made = tasks.find(made.id)
    _show(made, as_json=as_json)
    if wait and made.state != DONE:
        raise typer.Exit(EXIT_NOT_DONE)


def _parameters(kind: str, given: list[str]) -> dict[str, Any]:
    """Return parameters from words NAME=VALUE; raises OrderProblem or EdrError."""
    declared = kinds.find(kind).parameters
    values: dict[str, str] = {}
    for word in given:
        name, separator, text = word.partition("=")
        if not separator:
            names = ", ".join(declared.__struct_fields__)
            raise EdrError(f"'{word}' is no NAME=VALUE; {kind} has: {names}")
        values[name] = text
    try:
        checked = msgspec.convert(values, declared, strict=False)  # numbers come as text here
    except msgspec.ValidationError as error:
        raise OrderProblem(f"{kind}: {error}") from error
    return msgspec.structs.asdict(checked)


def _show(task: Task, *, as_json: bool) -> None:
    if as_json:
        output.print_json(task)
        return
    lines = [f"{task.id}: {task.kind} for {task.agent_id}: {task.state}"]
    lines += [f"reason: {task.reason}"] if task.reason else []
    for name, value in (task.result or {}).items():
        if name in {"output", "errors"}:
            lines += [f"{name}:", *(f"  {line}" for line in str(value).splitlines())]
        elif name not in {"state", "reason"}:
            lines.append(f"{name}: {value}")
    output.print_line("\n".join(output.plain(line) for line in lines))


def _write(blocks: Iterator[bytes], to: Path) -> None:
    if str(to) == "-":
        for block in blocks:
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
        return
    try:
        descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EdrError(f"cannot write {to}: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as opened:
        for block in blocks:
            opened.write(block)


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[tuple[Installation, Database]]:
    opened = open_(directory)
    with contextlib.closing(opened.database()) as database:
        yield opened, database
