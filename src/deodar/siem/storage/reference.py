"""The reference page of the event model, made from it.

`python -m deodar.siem.storage.reference` prints `docs/reference/event-model.md`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from deodar.siem.storage import schema
from deodar.siem.storage.model import MODEL, ModelField

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = f"""\
# The event model

<!-- Made by `python -m deodar.siem.storage.reference` from src/deodar/siem/storage/model.py. -->

The table `{schema.TABLE}` has one row for each event and one column for each field below: the
normalized event of KUMA. Searches name the columns as they are written here.

- A text that is absent is empty, a number that is absent is 0, a list or a map has no entries.
- A time is an integer: milliseconds since 1970-01-01 00:00 UTC. 0 means that there is none.
- The length of a text counts characters. A normalizer cuts what is longer, and keeps the whole in
  `Extra`.
- `Extra` maps the names of source fields without a column of their own to their values:
  `Extra['WorkingDirectory']`.
- A slot (`DeviceCustomString1` and the like) has a label that says what is in it.
- Beside these fields a row has `BatchID`, the delivery that brought it, and `BatchTime`, when the
  collector fetched that delivery (DateTime64, UTC).
"""


def page() -> str:
    """Return the whole page as Markdown."""
    return "\n".join([_HEAD, *_groups(), *_table()]) + "\n"


def _groups() -> Iterator[str]:
    for group in dict.fromkeys(field.group for field in MODEL.values()):
        yield f"## {group}\n"
        yield "| Field | Kind | Longest | Column | Set by |\n|---|---|---|---|---|"
        yield from (_row(field) for field in MODEL.values() if field.group == group)
        yield ""


def _row(field: ModelField) -> str:
    length = "" if field.max_length is None else str(field.max_length)
    column = f"`{schema.column_type(field)}`"
    return f"| `{field.name}` | {field.kind} | {length} | {column} | {field.set_by} |"


def _table() -> Iterator[str]:
    yield "## The table\n"
    yield "Rows are kept in the order of time, host and category, in one partition for each day of"
    yield f"arrival. The table knows the last {schema.DEDUPLICATION_WINDOW:,} deliveries by their"
    yield "identity: one that comes again is not stored again.\n"
    yield "```sql"
    yield schema.create_table()
    yield "```"


def main() -> None:
    """Print the page."""
    sys.stdout.write(page())


if __name__ == "__main__":
    main()
