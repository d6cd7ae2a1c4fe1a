"""What commands print: one JSON object a line with ``--json``, a table for people without.

Names and texts come from other hosts, so they are shown as plain text, without control characters.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FILE_WIDTH = 500


def print_json(*values: Any) -> None:
    """Print each value as a line of JSON."""
    for value in values:
        sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def print_table(columns: Mapping[str, str], rows: Sequence[Any], nothing: str) -> None:
    """Print the attributes `columns` of rows under their titles; `nothing` when there are none."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    if not rows:
        console.print(Text(nothing))
        return
    table = Table(box=None, pad_edge=False)
    for title in columns.values():
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(name, getattr(row, name)) for name in columns))
    console.print(table)


def print_line(text: str) -> None:
    """Print a line for people, as it is."""
    sys.stdout.write(f"{text}\n")


def plain(value: object) -> str:
    """Return a value as one line without control characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))


def _cell(name: str, value: Any) -> Text:
    if name.endswith("_us"):
        return Text(moment(value))
    if value is None:
        return Text("-")
    return Text(plain(value))


def moment(us: int) -> str:
    """Return a time in µs for people."""
    if not us:
        return "never"
    return datetime.fromtimestamp(us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
