"""Tasking: what endpoints shall do and be, how they are told, and what they answer.

`tasks` keeps the tasks, `states` the desired states, `delivery` puts both together for an agent
that asks, `waker` lets the asking wait, `files` and `shelf` keep what was fetched, `agents` is the
HTTP side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.edr.database import now_us
from deodar.edr.tasking.delivery import Delivery
from deodar.edr.tasking.files import FetchedFiles
from deodar.edr.tasking.shelf import FolderShelf
from deodar.edr.tasking.states import States
from deodar.edr.tasking.tasks import Tasks
from deodar.edr.tasking.waker import Waker
from deodar.edr.upkeep import Chore

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.edr.database import Database
    from deodar.edr.settings import Tasking as Settings
    from deodar.edr.tasking.shelf import Shelf

__all__ = ["FILES", "Tasking"]

FILES = "fetched"
"""The folder of fetched files in the server's folder."""
_DAY_US = 86_400 * 1_000_000


class Tasking:
    """All of it, for one running server."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        server_id: str,
        settings: Settings,
        shelf: Shelf | None = None,
    ) -> None:
        """`folder` is the server's, for the bytes of fetched files if there is no other `shelf`."""
        self.settings = settings
        self.tasks = Tasks(database)
        self.states = States(database)
        self.delivery = Delivery(database, server_id)
        self.files = FetchedFiles(database, shelf or FolderShelf(folder / FILES), settings)
        self.waker = Waker(self.delivery.changes)

    @property
    def chores(self) -> list[Chore]:
        """What has to be done now and then."""
        return [
            Chore("timers of states", 1.0, self.states.end_timers),
            Chore("expired tasks", 5.0, self.tasks.expire),
            Chore("old tasks", 3600.0, self._forget),
        ]

    def _forget(self) -> None:
        before = now_us() - self.settings.keep_days * _DAY_US
        self.tasks.forget(before)
        self.files.forget(before)
