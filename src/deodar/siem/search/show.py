"""Showing rows to a person: a table if they fit into one, else each event by itself.

An event has hundreds of fields and fills some dozens, so in the long form those that are empty are
left out, times are given as dates too, and a field with a label of its own is shown under it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from deodar.siem.storage.model import MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

FEWEST_FOR_LONGEST = 24
GAP = 3
_EMPTY: tuple[Any, ...] = ("", None, 0, [], {})


def show(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """Print the rows; says so when there are none."""
    if not rows:
        console.print("no events found")
        return
    if _fits(rows, console.width):
        console.print(_table(rows))
    else:
        for number, row in enumerate(rows, 1):
            console.print(_card(number, row))
    console.print(Text(f"{len(rows)} row{'' if len(rows) == 1 else 's'}", style="dim"))


def _fits(rows: Sequence[dict[str, Any]], width: int) -> bool:
    """Whether all columns fit side by side if the longest one is folded."""
    longest = {name: max(len(name), *(len(shown(row[name])) for row in rows)) for name in rows[0]}
    folded = max(longest.values())
    needed = sum(longest.values()) + GAP * (len(longest) - 1)
    return needed - folded + min(folded, FEWEST_FOR_LONGEST) <= width


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(header_style="bold", show_edge=False, pad_edge=False)
    for name in rows[0]:
        numeric = isinstance(rows[0][name], int | float)
        table.add_column(Text(shown(name)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(value)) for value in row.values()))
    return table


def _card(number: int, row: dict[str, Any]) -> Table:
    table = Table(
        title=f"event {number}",
        title_justify="left",
        title_style="bold",
        show_header=False,
        box=None,
        pad_edge=False,
    )
    table.add_column(style="cyan", overflow="fold")
    table.add_column(overflow="fold")
    for name, text in filled(row):
        table.add_row(Text(name), Text(text))
    return table


def filled(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (name, text) of what is not empty; entries of maps at the end, as ``Extra.key``."""
    lines: list[tuple[str, str]] = []
    entries: list[tuple[str, str]] = []
    for name, value in row.items():
        field = MODEL.get(name)
        if isinstance(value, dict):
            entries += [(f"{name}.{key}", shown(item)) for key, item in value.items()]
        elif value in _EMPTY or (field is not None and field.label_of in row):
            continue
        elif field is not None and field.kind == "time":
            lines.append((name, f"{value}  {_date(value)}"))
        else:
            label = row.get(f"{name}Label")
            lines.append((f"{name} ({shown(label)})" if label else name, shown(value)))
    return lines + entries


def _date(milliseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return ""
    return moment.isoformat(" ", "milliseconds")


def shown(value: Any) -> str:
    """Return a value on one line; control characters, that could steer a terminal, are escaped."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
