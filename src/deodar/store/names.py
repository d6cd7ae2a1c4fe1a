"""Names and texts written so that ClickHouse takes them for nothing else."""

from __future__ import annotations

import re
from typing import Final

from deodar.store.errors import SYNTAX, QueryError

_SETTING: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def quote_name(name: str) -> str:
    """Return `name` as a quoted identifier."""
    return f"`{_escaped(name, '`')}`"


def quote_table(table: str) -> str:
    """Return ``table`` or ``database.table`` with each part quoted."""
    return ".".join(quote_name(part) for part in table.split(".", 1))


def quote_text(text: str) -> str:
    """Return `text` as a string literal."""
    return f"'{_escaped(text, chr(39))}'"


def setting_name(name: str) -> str:
    """Return `name` if it can be a setting's; raises QueryError otherwise."""
    if _SETTING.fullmatch(name) is None:
        raise QueryError(SYNTAX, f"{name!r} is not a setting's name")
    return name


def _escaped(text: str, quote: str) -> str:
    return text.replace("\\", "\\\\").replace(quote, f"\\{quote}").replace("\0", "\\0")
