"""The commands ``deodar edr alerts …``."""

from __future__ import annotations

import contextlib
from typing import Annotated

import msgspec
import typer

from deodar.edr import output
from deodar.edr.alerts import Alerts
from deodar.edr.installation import open_
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time

app = typer.Typer(no_args_is_help=True, help="What was found.")


class _Row(msgspec.Struct):
    number: int
    detect_us: int
    importance: str
    technology: str
    source: str
    object: str
    detection: str


_COLUMNS = {
    "number": "Alert",
    "detect_us": "Found",
    "importance": "Importance",
    "technology": "Technology",
    "source": "Source",
    "object": "Object",
    "detection": "Detection",
}


@app.command("list")
def list_(
    directory: Directory,
    technology: Annotated[list[str] | None, typer.Option(help="Only of these.")] = None,
    before: Annotated[int, typer.Option(min=0, help="Begin below this number.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    as_json: Json = False,
) -> None:
    """Show alerts, the newest first."""
    with contextlib.closing(open_(directory).database()) as database:
        found = Alerts(database).before(before, limit, technology or ())
    if as_json:
        output.print_json(*found)
        return
    rows = [
        _Row(
            one.number,
            one.detect_us,
            one.importance,
            one.technology,
            one.source,
            msgspec.json.encode(one.object).decode(),
            msgspec.json.encode(one.detection).decode(),
        )
        for one in found
    ]
    output.print_table(_COLUMNS, rows, "There is no alert.")
