"""Options that several commands of ``deodar siem`` share, and output that all have."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from deodar.kit.directory import StateDirectory
from deodar.kit.errors import SettingsError
from deodar.siem.search.show import shown
from deodar.siem.setup import Source

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

Dir = Annotated[
    Path,
    typer.Option("--dir", envvar="DEODAR_DIR", help="The SIEM's state folder.", metavar="DIR"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Debug = Annotated[bool, typer.Option("--debug", help="Log every request.")]
Pins = Annotated[
    list[str],
    typer.Option(
        "--edr-pin",
        metavar="SHA256",
        help="Fingerprint of the EDR server's certificate or of its authority's; may be repeated.",
    ),
]
Authority = Annotated[
    Path | None,
    typer.Option("--edr-ca", metavar="FILE", help="The EDR server's authority, PEM."),
]
Insecure = Annotated[
    bool, typer.Option("--edr-insecure", help="Talk to any server: for trials only.")
]
FetchTimeout = Annotated[
    float,
    typer.Option(
        "--fetch-timeout",
        min=0.0,
        metavar="SECONDS",
        help="How long the EDR server may gather events for one answer; 0: its own value.",
    ),
]
ClientTimeout = Annotated[
    float,
    typer.Option(
        "--client-timeout",
        min=0.0,
        metavar="SECONDS",
        help="How long to wait for an answer; 0: 1800 seconds.",
    ),
]
MaxEvents = Annotated[
    int,
    typer.Option("--max-events", min=0, help="Events in one answer; 0: the EDR server's value."),
]
Connector = Annotated[
    str, typer.Option("--connector", metavar="KIND", help="Kind of connector, such as tcp.")
]
Settings = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting of the connector, TOML or plain text; may be repeated.",
    ),
]
Normalizer = Annotated[
    str, typer.Option("--normalizer", help="Name or file; else the one of the connector's kind.")
]
Filter = Annotated[
    str, typer.Option("--filter", metavar="KEDRQL", help="Which events the EDR server sends.")
]


def siem_home(path: Path) -> StateDirectory:
    """Return the SIEM's folder; raises StateError that names the command which makes it."""
    return StateDirectory.open(path, made_by="deodar siem init")


def print_json(value: Any) -> None:
    """Print one JSON object in a line."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_ready(details: Mapping[str, Any]) -> None:
    """Print the line by which programs that started this one know that it can be used."""
    print_json({"ready": True, "pid": os.getpid(), **details})
    sys.stdout.flush()


def run_until_stopped(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a program until SIGTERM or SIGINT; an error in one of its tasks comes out as itself."""

    async def run() -> None:
        await work(asyncio.Event())

    try:
        asyncio.run(run())
    except ExceptionGroup as group:
        raise _first(group) from group


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def edr_source(
    urls: list[str],
    pins: list[str],
    authority: Path | None,
    insecure: bool,
    max_events: int,
    fetch_timeout: float,
    client_timeout: float,
    filter_text: str,
) -> Source:
    """Return the options of one EDR server as a value."""
    return Source(
        urls=tuple(urls),
        pins=tuple(pins),
        ca=authority,
        insecure=insecure,
        max_events=max_events,
        max_timeout=fetch_timeout,
        client_timeout=client_timeout,
        filter=filter_text,
    )


def connector_table(kind: str, settings: list[str]) -> dict[str, Any]:
    """Return a connector's settings of ``KEY=VALUE`` texts as a table; raises SettingsError.

    A dot in a key leads into a table, such as tls.certificate.
    """
    table: dict[str, Any] = {"kind": kind}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not all(key.split(".")):
            raise SettingsError(f"--set {text}: give KEY=VALUE")
        *path, last = key.strip().split(".")
        inner = table
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise SettingsError(f"--set {text}: {part} is no table")
        inner[last] = _toml_value(value)
    return table


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def plain(text: str) -> Text:
    """Return a text of others, servers or events, without any power over the terminal."""
    return Text(shown(text))


def when(seconds: float) -> str:
    """Return a time (seconds since the epoch) as a date with its age; "never" for 0."""
    if not seconds:
        return "never"
    age = max(0.0, time.time() - seconds)
    moment = datetime.fromtimestamp(seconds, UTC).isoformat(" ", "seconds")
    return f"{moment} ({age:.0f} s ago)"
