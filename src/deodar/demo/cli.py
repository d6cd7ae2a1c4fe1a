"""``deodar demo``: everything on this host, with one command."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from deodar.demo import once, recorded, table
from deodar.demo.stack import Stack
from deodar.kit.children import ChildError
from deodar.kit.directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

app = typer.Typer(pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def demo(
    once_only: Annotated[
        bool, typer.Option("--once", help="Follow one marked command to the SIEM, then end.")
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            envvar="DEODAR_DIR",
            help="Where to keep the state; a temporary folder if not given.",
        ),
    ] = None,
) -> None:
    """Start an EDR server, a SIEM with a collector and, as root, an agent on this very host."""
    console = Console(soft_wrap=False)
    signal.signal(signal.SIGTERM, _interrupt)
    with _folder(directory) as folder, contextlib.closing(Stack(folder)) as stack:
        try:
            _run(stack, console, once_only=once_only)
        except KeyboardInterrupt:
            console.print("Ending.")


def _run(stack: Stack, console: Console, *, once_only: bool) -> None:
    live = start(stack, console)
    if once_only:
        mark = once.run_marked_command() if live else recorded.MARK
        once.show(once.find(stack, mark), console)
        return
    _explain(stack, console)
    table.watch(stack.search, console)


def start(stack: Stack, console: Console) -> bool:
    """Start every part and print its address; returns whether an agent watches this host."""
    url = stack.start_edr()["url"]
    console.print(f"EDR server   {url}")
    core = stack.start_core(url)
    console.print(f"SIEM core    {core['url']}")
    stack.start_collector()
    system = stack.accept_collector()
    console.print(f"Collector    {system} asked for access and was accepted")
    return _start_agent(stack, console)


def _start_agent(stack: Stack, console: Console) -> bool:
    """Start the agent, or import the recorded set and say why; returns whether it runs."""
    why = "this is not root, and sensors need root"
    if os.geteuid() == 0:
        try:
            ready = stack.start_agent()
        except ChildError as error:
            why = str(error)
        else:
            console.print(f"Agent        watches this host with its {ready['sensor']} sensor")
            return True
    console.print(f"Agent        not started: {why}", soft_wrap=True)
    stack.import_events(recorded.FILE)
    console.print("             A recorded set of events was imported instead.")
    return False


EXAMPLE = (
    "SELECT DeviceCustomString4, SourceUserName FROM events "
    "WHERE DeviceEventCategory = 'process' ORDER BY Timestamp DESC LIMIT 10"
)


def _explain(stack: Stack, console: Console) -> None:
    console.print(
        "\nSearch from another terminal, for example:\n"
        f'  deodar siem search --dir {stack.siem} "{EXAMPLE}"\n'
        "End with Ctrl-C.\n",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )


@contextlib.contextmanager
def _folder(directory: Path | None) -> Iterator[Path]:
    if directory is not None:
        with StateDirectory.create(directory).lock():
            yield directory.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="deodar-demo-") as made:
        yield Path(made)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
