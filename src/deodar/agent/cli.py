"""The commands ``deodar agent enroll|run|status``; each imports only what it needs."""

# ruff: noqa: PLC0415 - starting must stay quick, and the running agent small

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from deodar.kit.directory import StateDirectory
from deodar.kit.errors import SettingsError

app = typer.Typer(no_args_is_help=True, help="The agent: watches this host.")

MADE_BY = "deodar agent enroll"
Directory = Annotated[
    Path,
    typer.Option("--dir", envvar="DEODAR_DIR", help="The folder of the agent's state."),
]


@app.command()
def enroll(
    token: Annotated[str, typer.Argument(help="The token that « deodar edr enroll » printed.")],
    directory: Directory,
    force: Annotated[bool, typer.Option(help="Replace an agent that is there already.")] = False,
) -> None:
    """Make this host known to an EDR server."""
    from deodar.agent.enroll import enroll as do_enroll
    from deodar.agent.enroll import read_token

    settings = do_enroll(StateDirectory.create(directory), read_token(token), force=force)
    typer.echo(f"enrolled at {settings.server.url} as {settings.agent_id}")


@app.command()
def run(
    directory: Directory,
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

    StateDirectory.open(directory, made_by=MADE_BY)
    command = words(
        directory,
        sensor=sensor,
        replay=replay,
        rate=rate,
        exit_at_end=exit_at_end,
        debug=debug,
    )
    os.execv(command[0], command)  # noqa: S606 - the same program again, only smaller


@app.command()
def status(
    directory: Directory,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how the agent fares; exit code 0 when it runs, 1 when it does not."""
    from deodar.agent import status as report
    from deodar.agent.enrolled import CERTIFICATE
    from deodar.tls.certificates import validity

    folder = StateDirectory.open(directory, made_by=MADE_BY)
    found = report.read(folder)
    if found is None:
        typer.echo(f"the agent of {directory} has not run yet", err=True)
        raise typer.Exit(1)
    valid = validity(folder.read(CERTIFICATE))
    dates = report.CertificateDates(valid.begin.isoformat(), valid.end.isoformat())
    shown = report.as_json(found, dates) if json else report.render(found, dates, time.time())
    typer.echo(shown)
    raise typer.Exit(0 if found.is_running() else 1)
