"""Room for changes of the embedded store's tables.

A change rewrites the table's definition, and the engine does not do so in one step: on a full disk
it has left an empty file, with which the store could not be opened again.
"""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from deodar.store.errors import StoreFull
from deodar.store.lexer import tokens

if TYPE_CHECKING:
    from pathlib import Path

NEEDED: Final = 16 << 20
"""Bytes that must be free; a definition has a few thousand."""

_NO_SPACE: Final = 243
_PARTS: Final = frozenset({"DROP", "DETACH", "ATTACH", "FREEZE", "UNFREEZE"})


def rewrites_definition(sql: str) -> bool:
    """Return whether a statement changes a table, and not only which parts it has."""
    if "ALTER" not in sql[:64].upper():
        return False
    words = [token.keyword for token in tokens(sql)]
    if not words or words[0] != "ALTER":
        return False
    parts = any(
        word in _PARTS and after in {"PARTITION", "PART"} for word, after in pairwise(words)
    )
    return not parts


def check_room(folder: Path) -> None:
    """Raise StoreFull while a folder's disk has too little room to change a table."""
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < NEEDED:
        raise StoreFull(
            _NO_SPACE,
            f"the disk of {folder} has {free >> 20} MB left; changing a table needs "
            f"{NEEDED >> 20} MB",
        )
