"""The commands ``deodar edr backup`` and ``deodar edr restore``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # typer reads it at run time
from typing import Annotated

import typer

from deodar.edr import output
from deodar.edr.installation import open_
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time
from deodar.kit import logging


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
    directory: Directory,
    keys: Annotated[
        bool, typer.Option("--keys", help="Put the private keys in: keep the file safe.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a backup of control data, the folder and the event log, also while the server runs."""
    from deodar.edr.backup.make import make  # noqa: PLC0415  # the store's engine is heavy

    logging.configure("edr")
    made = make(open_(directory), file, keys=keys)
    if as_json:
        output.print_json(made)
        return
    output.print_line(f"{made.events} events up to {made.last_seq} in {made.file}")
    if not keys:
        output.print_line("It has no private keys: keep those of the folder (*.key) apart.")


def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    folder: Annotated[Path, typer.Argument(help="The server's folder to make.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Put a folder that is there aside.")
    ] = False,
    keys_from: Annotated[
        Path | None, typer.Option(help="Folder with the keys, for a backup without them.")
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="URL of another store; it must be empty.")
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="URL of another database; it must be empty.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a server's folder from a backup, after it was checked as a whole."""
    from deodar.edr.backup import restore as restoring  # noqa: PLC0415

    logging.configure("edr")
    target = restoring.Target(folder, replace, keys_from, store, database)
    restored = restoring.restore(file, target)
    if as_json:
        output.print_json(restored)
        return
    output.print_line(f"{restored.events} events up to {restored.last_seq} in {restored.dir}")
    if restored.put_aside:
        output.print_line(f"The folder that was there is now {restored.put_aside}")
