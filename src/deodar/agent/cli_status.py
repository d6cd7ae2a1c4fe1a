"""The commands ``deodar agent status``, ``deodar agent coverage`` and ``deodar agent policy``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from deodar.agent.cli_options import DEFAULT, Directory, Json, opened, print_json, say

if TYPE_CHECKING:
    from deodar.agent.status import AgentStatus
    from deodar.kit.directory import StateDirectory

NOT_RUNNING = 64


def status(directory: Directory = DEFAULT, as_json: Json = False) -> None:
    """Show how the agent fares; exit code 0 when it runs, 64 when it does not."""
    from deodar.agent import status as report  # noqa: PLC0415 - --help stays quick
    from deodar.agent import status_text  # noqa: PLC0415

    folder = opened(directory)
    found, running = _known(folder)
    if as_json:
        print_json(report.as_dict(found, running=running))
    else:
        say(status_text.render(found, time.time(), running=running))
    _complain(folder, running=running)


def coverage(directory: Directory = DEFAULT, as_json: Json = False) -> None:
    """Show which kinds of telemetry are seen on this host; exit code 64 when the agent is down."""
    from deodar.agent import coverage_text  # noqa: PLC0415 - --help stays quick

    folder = opened(directory)
    found, running = _known(folder)
    if as_json:
        print_json(found.coverage)
    else:
        say(coverage_text.render(found.coverage, time.time()))
    _complain(folder, running=running)


def policy(directory: Directory = DEFAULT, as_json: Json = False) -> None:
    """Show the settings that the server's policy holds."""
    from deodar.agent.cli_reach import call  # noqa: PLC0415
    from deodar.tasks.exports import all_to_ini  # noqa: PLC0415

    found = call(opened(directory), "policy.show")
    if as_json:
        print_json(found)
    elif found is None:
        say("no policy of the server is in force")
    else:
        say(f"# policy {found['name']}, version {found['version']}")
        say(all_to_ini(found["settings"]).rstrip())


def _known(folder: StateDirectory) -> tuple[AgentStatus, bool]:
    """Return the status and whether the agent runs; ends the command when it never ran."""
    found, running = _found(folder)
    if found is None:
        typer.echo(f"deodar: {_never(folder)}", err=True)
        raise typer.Exit(NOT_RUNNING)
    return found, running


def _complain(folder: StateDirectory, *, running: bool) -> None:
    if not running:
        from deodar.agent.administration import not_running  # noqa: PLC0415

        typer.echo(f"deodar: {not_running(folder)}", err=True)
        raise typer.Exit(NOT_RUNNING)


def _found(folder: StateDirectory) -> tuple[AgentStatus | None, bool]:
    """Return the status and whether the agent runs: from itself, else what it told last."""
    import msgspec  # noqa: PLC0415

    from deodar.agent import status as report  # noqa: PLC0415
    from deodar.agent.control.client import ControlClient, ControlError, NotRunning  # noqa: PLC0415

    try:
        told = ControlClient(folder.socket, patience=10.0).call("status")
        return report.from_wire(told), True
    except NotRunning:
        last = report.read(folder)
        return last, last is not None and last.is_running()
    except (ControlError, msgspec.ValidationError) as error:
        last = report.read(folder)
        if last is None or not last.is_running():
            raise
        typer.echo(f"deodar: {error}; this is what the agent told last", err=True)
        return last, True


def _never(folder: StateDirectory) -> str:
    from deodar.agent.administration import how_to_start  # noqa: PLC0415

    return f"the agent of {folder.path} has not run yet; {how_to_start(folder)}"
