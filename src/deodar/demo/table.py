"""The live table of events: what the SIEM has stored in the last moments.

On a terminal the newest rows stay in view; elsewhere each event is a line.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

ROWS_IN_VIEW = 25
ROWS_A_LOOK = 200
LOOK_EVERY = 0.5

QUERY = (
    "SELECT ID, Timestamp, DeviceEventCategory, SourceUserName, DestinationProcessID, "
    "DestinationProcessName, DeviceCustomString4, DestinationAddress, DestinationPort, "
    "SourceAddress, SourcePort FROM events WHERE (Timestamp, ID) > ({after}, '{last}') "
    "ORDER BY Timestamp, ID LIMIT {rows}"
)


def watch(search: Callable[[str], list[dict[str, Any]]], console: Console) -> None:
    """Show new events until interrupted; `search` takes SQL and returns rows."""
    arrivals = _arrivals(search)
    if console.is_terminal:
        _live(arrivals, console)
        return
    for rows in arrivals:
        for row in rows:
            console.print("  ".join(cells(row)), soft_wrap=True, markup=False, highlight=False)


def cells(row: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """Return one event as the table's cells: time (UTC), type, user, process id, what happened."""
    clock = time.strftime("%H:%M:%S", time.gmtime(int(row["Timestamp"]) / 1000))
    return (
        clock,
        str(row["DeviceEventCategory"]),
        str(row["SourceUserName"]),
        str(row["DestinationProcessID"] or ""),
        _what(row),
    )


def _what(row: dict[str, Any]) -> str:
    if row["DestinationPort"] or row["SourcePort"]:
        source = f"{row['SourceAddress']}:{row['SourcePort']}"
        return f"{source} → {row['DestinationAddress']}:{row['DestinationPort']}"
    return str(row["DeviceCustomString4"] or row["DestinationProcessName"])


def _arrivals(search: Callable[[str], list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """Yield what arrived since the last look, for ever; an empty list when nothing did."""
    after, last = time.time_ns() // 1_000_000 - 5_000, ""
    while True:
        rows = search(QUERY.format(after=after, last=last, rows=ROWS_A_LOOK))
        if rows:
            after, last = int(rows[-1]["Timestamp"]), str(rows[-1]["ID"])
        yield rows
        if len(rows) < ROWS_A_LOOK:
            time.sleep(LOOK_EVERY)


def _live(arrivals: Iterator[list[dict[str, Any]]], console: Console) -> None:
    recent: deque[dict[str, Any]] = deque(maxlen=ROWS_IN_VIEW)
    total = 0
    with Live(_table(recent, total), console=console, auto_refresh=False) as live:
        for rows in arrivals:
            recent.extend(rows)
            total += len(rows)
            live.update(_table(recent, total), refresh=True)


def _table(rows: deque[dict[str, Any]], total: int) -> Table:
    table = Table(title=f"Events in the SIEM ({total} since the start)", expand=True)
    for name, width in (("UTC", 8), ("type", 18), ("user", 12), ("pid", 8)):
        table.add_column(name, width=width, no_wrap=True)
    table.add_column("what", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        table.add_row(*cells(row))
    return table
