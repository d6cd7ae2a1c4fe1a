"""The commands ``deodar edr node …``."""

from __future__ import annotations

import contextlib
from pathlib import Path  # noqa: TC003  # typer reads it at run time
from typing import TYPE_CHECKING, Annotated

import typer

from deodar.edr import output
from deodar.edr.installation import open_
from deodar.edr.nodes import bundle as bundles
from deodar.edr.nodes.register import Register
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deodar.edr.nodes.register import NodeRow

app = typer.Typer(no_args_is_help=True, help="Several servers behind one name.")

Name = Annotated[str, typer.Argument(help="The node's name.")]
_COLUMNS = {
    "name": "Node",
    "state": "State",
    "url": "Address",
    "version": "Version",
    "seen_us": "Last seen",
    "started_us": "Started",
    "removed_us": "Removed",
}


@app.command("list")
def list_(directory: Directory, as_json: Json = False) -> None:
    """Show the nodes, and which one writes the event log."""
    with _register(directory) as register:
        _show(register.list(), as_json=as_json)


@app.command()
def add(
    directory: Directory,
    name: Name,
    file: Annotated[Path, typer.Argument(help="The bundle to write; it must not exist.")],
    as_json: Json = False,
) -> None:
    """Add a node: writes a bundle with the keys and settings that it needs. Keep it secret."""
    made = bundles.make(open_(directory), name)
    with _register(directory) as register:
        added = register.add(name)
        try:
            bundles.write(made, file)
        except BaseException:
            register.remove(name)
            raise
    if as_json:
        output.print_json(added)
        return
    output.print_line(f"On the new server: deodar edr node join {file.name} --dir DIR")
    output.print_line(f"{file} has the private keys of all nodes: delete it then.")


@app.command()
def join(
    directory: Directory,
    file: Annotated[Path, typer.Argument(help="A bundle of: deodar edr node add")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "",
    port: Annotated[
        int | None, typer.Option(help="Port to listen on, if not that of the first node.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a node's folder from a bundle."""
    bundle = bundles.read(file)
    made = bundles.unpack(bundle, directory, host=host, port=port)
    if as_json:
        output.print_json({"dir": str(made.directory.path), "name": bundle.name, "pin": made.pin})
        return
    output.print_line(f"The node {bundle.name} is in {made.directory.path}")
    output.print_line(f"Start it with: deodar edr run --dir {made.directory.path}")


@app.command()
def remove(directory: Directory, name: Name, as_json: Json = False) -> None:
    """Remove a node: it stops within seconds, and starts no more."""
    with _register(directory) as register:
        _show([register.remove(name)], as_json=as_json)


@contextlib.contextmanager
def _register(directory: Path) -> Iterator[Register]:
    with contextlib.closing(open_(directory).database()) as database:
        yield Register(database)


def _show(nodes: Sequence[NodeRow], *, as_json: bool) -> None:
    if as_json:
        output.print_json(*nodes)
    else:
        output.print_table(_COLUMNS, nodes, "There is no node: this server is alone.")
