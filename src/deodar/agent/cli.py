"""The commands ``deodar agent …``; each imports only what it needs.

Exit codes of commands about tasks, settings, certificates, events and the status are those of KESL;
see `deodar.tasks.codes`.
"""

# ruff: noqa: PLC0415 - starting must stay quick, and the running agent small

from __future__ import annotations

import os
from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import Annotated

import typer

from deodar.agent import cli_certificate, cli_settings, cli_task
from deodar.agent.cli_events import events
from deodar.agent.cli_options import DEFAULT, Directory, Json, opened, print_json, say
from deodar.agent.cli_status import coverage, policy, status
from deodar.kit.directory import StateDirectory
from deodar.kit.errors import SettingsError

app = typer.Typer(no_args_is_help=True, help="The agent: watches this host.")
app.add_typer(cli_task.app, name="task")
app.add_typer(cli_settings.app, name="settings")
app.add_typer(cli_certificate.app, name="certificate")
app.command()(events)
app.command()(status)
app.command()(coverage)
app.command()(policy)


@app.command()
def enroll(
    token: Annotated[str, typer.Argument(help="The token that « deodar edr enroll » printed.")],
    directory: Directory = DEFAULT,
    force: Annotated[bool, typer.Option(help="Replace an agent that is there already.")] = False,
    as_json: Json = False,
) -> None:
    """Make this host known to an EDR server."""
    from deodar.agent.enroll import enroll as do_enroll
    from deodar.agent.enroll import read_token

    found = read_token(token)
    settings = do_enroll(StateDirectory.create(directory), found, force=force)
    if as_json:
        print_json({"url": found.url, "agent_id": settings.agent_id})
    else:
        say(f"enrolled at {found.url} as {settings.agent_id}")


@app.command()
def run(
    directory: Directory = DEFAULT,
    sensor: Annotated[
        str, typer.Option(help="auto, or the one sensor to use: bpf, audit, proc, replay.")
    ] = "auto",
    replay: Annotated[
        Path | None, typer.Option(help="Send the events of this NDJSON file instead.")
    ] = None,
    rate: Annotated[
        float, typer.Option(min=0, help="Events per second of a replay; 0: as fast as it goes.")
    ] = 0.0,
    exit_at_end: Annotated[
        bool, typer.Option("--exit-at-end", help="End when the server has the whole replay.")
    ] = False,
    debug: Annotated[bool, typer.Option(help="Log more.")] = False,
) -> None:
    """Watch this host and send what happens to the EDR server."""
    if (sensor == "replay") != (replay is not None) and sensor != "auto":
        raise SettingsError("--sensor replay and --replay FILE go together")
    from deodar.agent.start import words

    opened(directory)
    command = words(
        directory,
        sensor=sensor,
        replay=replay,
        rate=rate,
        exit_at_end=exit_at_end,
        debug=debug,
    )
    os.execv(command[0], command)  # noqa: S606 - the same program again, only smaller
