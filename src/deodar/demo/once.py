"""One marked command, followed from this host's kernel to a row in the SIEM.

What is printed is what SQL finds in the SIEM and nothing else: the command's arguments, hashes,
user and parent, and the time at which each hop had it.
"""

from __future__ import annotations

import secrets
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

from deodar.demo.errors import DemoError
from deodar.demo.stack import attempts

if TYPE_CHECKING:
    from rich.console import Console

    from deodar.demo.stack import Stack

FIELDS = {
    "arguments": "DeviceCustomString4",
    "file": "DestinationProcessName",
    "MD5": "FileHash",
    "SHA-256": "DeviceCustomString2",
    "user": "SourceUserName",
    "process": "DestinationProcessID",
    "parent's arguments": "SourceProcessName",
    "parent process": "SourceProcessID",
    "host": "DeviceHostName",
    "process key": "FlexString2",
    "parent's key": "FlexString1",
}
"""What is shown of the found event, and the event model's field that holds it."""

HOPS = {
    "executed (kernel's time)": "StartTime",
    "taken by the EDR server": "DeviceReceiptTime",
    "fetched by the collector": "Timestamp",
}
"""The hops whose times the event carries, in order; milliseconds since the epoch."""


@dataclass(frozen=True)
class Found:
    """The marked command's row in the SIEM, and when the search first returned it (ms)."""

    row: dict[str, Any]
    found: int


def run_marked_command() -> str:
    """Run a harmless command that bears a new mark on this host; returns the mark."""
    mark = f"deodar-demo-{secrets.token_hex(6)}"
    subprocess.run(["/bin/echo", mark, "two words"], check=True, capture_output=True, timeout=10)
    return mark


def find(stack: Stack, mark: str, limit: float = 30.0) -> Found:
    """Search the SIEM until the marked command is there.

    Raises DemoError when it is not found within `limit` seconds.
    """
    columns = ", ".join(dict.fromkeys([*FIELDS.values(), *HOPS.values()]))
    sql = (
        f"SELECT {columns} FROM events WHERE DeviceEventCategory = 'process' "  # noqa: S608
        f"AND DeviceCustomString4 LIKE '%{mark}%' LIMIT 1"
    )
    for _ in attempts(limit):
        rows = stack.search(sql)
        if rows:
            return Found(rows[0], time.time_ns() // 1_000_000)
    raise DemoError(f"the marked command {mark} was not found in the SIEM within {limit:g} s")


def show(found: Found, console: Console) -> None:
    """Print the found event and the time at each hop."""
    event = Table(title="Found by SQL in the SIEM", title_justify="left", show_header=False)
    event.add_column(style="bold")
    event.add_column(style="dim")
    event.add_column(overflow="fold")
    for name, column in FIELDS.items():
        event.add_row(name, column, str(found.row[column]))
    console.print(event)
    console.print(_hops(found))


def _hops(found: Found) -> Table:
    times = {name: int(found.row[column]) for name, column in HOPS.items()}
    times["found by the search"] = found.found
    start = next(iter(times.values()))
    table = Table("hop", "UTC", "after", title="The time at each hop", title_justify="left")
    for name, at in times.items():
        clock = time.strftime("%H:%M:%S", time.gmtime(at / 1000))
        table.add_row(name, f"{clock}.{at % 1000:03d}", f"{at - start} ms")
    return table
