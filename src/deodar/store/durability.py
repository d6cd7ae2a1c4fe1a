"""Making what was inserted durable, where the embedded engine leaves a gap.

With ``fsync_after_insert`` and ``fsync_part_directory`` the engine syncs a new part's files and the
part's own folder, and it renames that folder into the table's, which it does not sync. On most file
systems the rename is in the same journal as the rest; POSIX promises nothing. So the table's folder
is synced here after each insert. At the first insert into a table everything around it is synced
too: the folders above it, and the files that tell of the table.
"""

from __future__ import annotations

import ctypes
import os
import threading
from typing import TYPE_CHECKING, Any, Final

from deodar.store.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pyarrow as pa

_ASKED: Final = (
    "SELECT engine_full LIKE '%fsync_part_directory = 1%' AS safe FROM system.tables "
    "WHERE database = {database:String} AND name = {table:String}"
)
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class TableFolders:
    """The folders of tables that want what is inserted to be durable."""

    def __init__(self, query: Callable[[str, Mapping[str, Any]], pa.Table], folder: Path) -> None:
        """`folder` is the whole store's."""
        self._query = query
        self._folder = folder
        self._known: dict[str, tuple[str, bool]] = {}  # where a table was, and what it wants
        self._lock = threading.Lock()

    def sync(self, table: str) -> None:
        """Make the table's folder durable; raises StoreUnavailable when the disk refuses."""
        database, _, name = table.rpartition(".")
        # The engine keeps a link to the folder that a table has now: made anew, it has another one.
        link = self._folder / "data" / (database or "default") / name
        try:
            self._sync(table, link)
        except OSError as error:
            raise StoreUnavailable(
                f"the store in {self._folder} cannot be synced: {error.strerror}"
            ) from error

    def _sync(self, table: str, link: Path) -> None:
        place = str(link.readlink()) if link.is_symlink() else ""
        with self._lock:
            before, wanted = self._known.get(table, ("", False))
        if place and before == place:
            if wanted:
                _sync(link)
            return
        wanted = self._wanted(table)
        if wanted:
            _sync_file_system(self._folder)
        with self._lock:
            self._known[table] = (place, wanted)

    def _wanted(self, table: str) -> bool:
        database, _, name = table.rpartition(".")
        given = {"database": database or "default", "table": name}
        return any(self._query(_ASKED, given).column("safe").to_pylist())


def _sync(path: Path) -> None:
    descriptor = os.open(path, _OPEN)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_file_system(folder: Path) -> None:
    descriptor = os.open(folder, _OPEN)
    try:
        if _libc.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


_libc: Final = ctypes.CDLL(None, use_errno=True)
