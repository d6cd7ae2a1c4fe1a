"""Which surveys have to look again, as inotify tells of the folders that they read.

A folder that is not there yet is waited for in the nearest one above it that is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from deodar.agent.watch.inotify import IGNORED, OVERFLOW, UNMOUNTED, Inotify
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deodar.agent.watch.files import Files

    Interest = tuple[str, frozenset[str] | None]
    """Name of a survey, and which names in a folder matter to it; None for all."""

MOST_WATCHES = 8192
_PLACE = os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY
_log = logger("agent.watch")


class FolderWatches:
    """The watches of all surveys. For one thread, but for `interested`."""

    def __init__(self, files: Files) -> None:
        """Raises OSError when the kernel gives no inotify descriptor."""
        self._files = files
        self._inotify = Inotify()
        self._watches: dict[int, list[Interest]] = {}
        self._folders: dict[str, list[Interest]] = {}
        self._everyone: frozenset[str] = frozenset()
        self.problem = ""
        """Why some folders are not watched; "" when all are."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when something happened."""
        return self._inotify.fileno()

    def follow(self, wanted: Iterable[tuple[str, str, frozenset[str] | None]]) -> None:
        """Watch these folders and no others: (survey, folder, names)."""
        watches: dict[int, list[Interest]] = {}
        folders: dict[str, list[Interest]] = {}
        self.problem = ""
        for survey, folder, names in wanted:
            folders.setdefault(folder, []).append((survey, names))
            self._watch(watches, folder, (survey, names))
        for watch in self._watches.keys() - watches.keys():
            self._inotify.remove(watch)
        self._watches, self._folders = watches, folders
        self._everyone = frozenset(survey for all_ in folders.values() for survey, _ in all_)

    def touched(self) -> set[str]:
        """Return the surveys that have to look again."""
        found: set[str] = set()
        for change in self._inotify.read():
            if change.watch < 0 or change.mask & OVERFLOW:
                return {*self._everyone}
            is_over = change.mask & (IGNORED | UNMOUNTED) or not change.name
            name = None if is_over else os.fsdecode(change.name)
            found.update(_those_for(self._watches.get(change.watch, ()), name))
        return found

    def interested(self, path: str) -> set[str]:
        """Return the surveys to which a file matters. For any thread."""
        folder, _, name = path.rpartition("/")
        return _those_for(self._folders.get(folder, ()), name)

    def close(self) -> None:
        """Watch nothing more."""
        self._inotify.close()

    def _watch(self, watches: dict[int, list[Interest]], folder: str, interest: Interest) -> None:
        if len(watches) >= MOST_WATCHES:
            self.problem = f"{folder} is not watched: there are more than {MOST_WATCHES}"
            return
        while True:
            try:
                with self._files.opened(folder, _PLACE) as descriptor:
                    watch = self._inotify.add(f"/proc/self/fd/{descriptor}")
            except (FileNotFoundError, NotADirectoryError):
                if folder == "/":
                    return
                folder, _, name = folder.rpartition("/")
                folder, interest = folder or "/", (interest[0], frozenset({name}))
            except OSError as error:
                self.problem = f"{folder} is not watched: {error.strerror}"
                return
            else:
                watches.setdefault(watch, []).append(interest)
                return


def _those_for(interests: Iterable[Interest], name: str | None) -> set[str]:
    return {survey for survey, names in interests if names is None or name is None or name in names}
