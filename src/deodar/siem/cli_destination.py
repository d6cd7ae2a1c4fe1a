"""``deodar siem destination``: where collectors send events besides the storage."""

from __future__ import annotations

import asyncio
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deodar.kit.errors import DeodarError, SettingsError
from deodar.siem.cli_options import Dir, Json, plain, print_json, siem_home
from deodar.siem.collector import board as boards
from deodar.siem.collector.home import names, open_home, settings_of
from deodar.siem.collector.tally import DestinationReport
from deodar.siem.destinations import registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.siem.destinations.base import CommonSettings

app = typer.Typer(no_args_is_help=True)

Collector = Annotated[str, typer.Option("--collector", help="Of this collector only.")]
_HEADINGS = ("collector", "destination", "kind", "status", "delivered", "waiting", "details")


@app.command(name="list")
def list_(path: Dir, collector: Collector = "", as_json: Json = False) -> None:
    """List the destinations of the collectors, with what became of the events."""
    table = Table(show_edge=False)
    for heading in _HEADINGS:
        table.add_column(heading, overflow="fold")
    for name in _collectors(path, collector):
        for report in _reports(path, name):
            if as_json:
                print_json({"collector": name, **msgspec.to_builtins(report)})
            else:
                table.add_row(name, *_row(report))
    if not as_json:
        Console().print(table)


@app.command()
def check(
    path: Dir,
    destination: Annotated[
        str, typer.Argument(metavar="[DESTINATION]", help="One of them; else all.")
    ] = "",
    collector: Collector = "",
    as_json: Json = False,
) -> None:
    """Connect to destinations and say what was reached; no event is sent. Exit code 1: not all."""
    bad = seen = 0
    for name in _collectors(path, collector):
        for settings in _settings(path, name):
            if destination in ("", settings.name):
                seen += 1
                good, text = asyncio.run(_checked(path, name, settings))
                bad += not good
                _print_check(name, settings.name, good, text, as_json)
    if destination and not seen:
        raise SettingsError(f"no collector has a destination {destination}")
    if bad:
        raise typer.Exit(1)


def _print_check(collector: str, name: str, good: bool, text: str, as_json: bool) -> None:
    if as_json:
        print_json({"collector": collector, "destination": name, "good": good, "text": text})
        return
    mark = Text("good", style="green") if good else Text("bad", style="red")
    Console().print(Text.assemble(f"{collector}/{name}: ", mark, plain(f"  {text}")))


def _collectors(path: Path, only: str) -> Sequence[str]:
    siem_home(path)
    if only:
        open_home(path, only)  # tells those that exist when it does not
        return [only]
    return names(path)


def _settings(path: Path, collector: str) -> tuple[CommonSettings, ...]:
    home = open_home(path, collector)
    return registry.read(settings_of(home).destinations, where=str(home.path))


async def _checked(path: Path, collector: str, settings: CommonSettings) -> tuple[bool, str]:
    try:
        opened = registry.open_destination(settings, open_home(path, collector).path)
        try:
            return True, await opened.check()
        finally:
            await opened.close()
    except DeodarError as error:
        return False, str(error)


def _reports(path: Path, collector: str) -> list[DestinationReport]:
    """Return the state of each destination; of those that never ran, zeros."""
    report = boards.ask(open_home(path, collector))
    known = {one.name: one for one in report.destinations}
    wanted = [*known.values()]
    for settings in _settings(path, collector):
        if settings.name not in known:
            reason = "" if settings.enabled else "disabled"
            wanted.append(DestinationReport(settings.name, settings.kind, reason=reason))
    return wanted


def _row(report: DestinationReport) -> tuple[str | Text, ...]:
    others = {
        "filtered": report.filtered,
        "refused": report.refused,
        "given up": report.lost_size + report.lost_age,
    }
    details = [f"{count:,} {word}" for word, count in others.items() if count]
    details += filter(None, [report.reason or report.last_error])
    colour = Text(report.colour, style=report.colour)
    counts = (f"{report.events:,}", f"{report.waiting:,}")
    return report.name, report.kind, colour, *counts, plain("; ".join(details))
