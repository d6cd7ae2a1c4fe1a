"""Which shelf a server keeps fetched files on: its folder's, or the one that nodes share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.edr.nodes.files import DatabaseShelf
from deodar.edr.tasking import FILES
from deodar.edr.tasking.shelf import FolderShelf

if TYPE_CHECKING:
    from deodar.edr.database import Database
    from deodar.edr.installation import Installation
    from deodar.edr.tasking.shelf import Shelf


def shelf_of(installation: Installation, database: Database) -> Shelf:
    """Return where a server keeps the bytes of fetched files."""
    if installation.settings.ingest.stream.urls:
        return DatabaseShelf(database)
    return FolderShelf(installation.directory.path / FILES)
