"""The files of accounts and groups, line by line: passwd(5), shadow(5), group(5), gshadow(5)."""

from __future__ import annotations

from typing import NamedTuple

MOST_BYTES = 32 << 20
MOST_LINES = 200_000
_PASSWD, _SHADOW, _GROUP, _GSHADOW = 7, 9, 4, 4


class Table(NamedTuple):
    """The lines of one file, cut into fields, by their first field."""

    rows: dict[str, list[str]]
    """A name that is there twice has its second row under "name#2"."""
    flaw: str = ""
    """Why the file looks as if it were being written; "" when it does not."""


def passwd(content: bytes) -> Table:
    """Return name, password, uid, gid, comment, home, shell of every account."""
    return _table(content, _PASSWD, numbers=(2, 3))


def shadow(content: bytes) -> Table:
    """Return name, password, day of the last change, and the limits of its age."""
    return _table(content, _SHADOW)


def group(content: bytes) -> Table:
    """Return name, password, gid, members of every group."""
    return _table(content, _GROUP, numbers=(2,))


def gshadow(content: bytes) -> Table:
    """Return name, password, administrators, members of every group."""
    return _table(content, _GSHADOW)


def _table(content: bytes, fields: int, numbers: tuple[int, ...] = ()) -> Table:
    rows: dict[str, list[str]] = {}
    flaw = "" if content.endswith(b"\n") else "it does not end with a line end"
    lines = content.decode("utf-8", "backslashreplace").split("\n")
    if len(lines) > MOST_LINES:
        lines, flaw = lines[:MOST_LINES], f"it has more than {MOST_LINES} lines"
    for number, line in enumerate(lines, 1):
        if not line.strip() or line[0] in "#+-":  # a comment, or a line of NIS
            continue
        row = line.split(":")
        if len(row) != fields or not row[0] or not all(row[n].isdecimal() for n in numbers):
            flaw = flaw or f"line {number} does not have {fields} fields of the right kind"
            continue
        rows[_free(row[0], rows)] = row
    return Table(rows, flaw)


def _free(name: str, rows: dict[str, list[str]]) -> str:
    if name not in rows:
        return name
    count = 2
    while f"{name}#{count}" in rows:
        count += 1
    return f"{name}#{count}"


def names(field: str) -> tuple[str, ...]:
    """Return the names of a field that has commas between them, sorted, each once."""
    return tuple(sorted({name for name in field.split(",") if name}))
