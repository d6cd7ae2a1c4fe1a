"""Lines of the journal that come from programs which let people in, as they are written."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from deodar.agent.watch.files import RACY_NS
from deodar.agent.watch.journal_file import TIME, Entry, JournalError, JournalFile
from deodar.agent.watch.log_lines import PROGRAMS, LogLine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FOLDERS = ("run/log/journal", "var/log/journal")
WANTED = ("MESSAGE", "SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "_PID", "_UID", "_EXE")
AUTH = frozenset({"4", "10"})
"""Numbers of the facilities auth and authpriv."""
SYSTEM_FOLDERS = ("/usr/", "/bin/", "/sbin/", "/lib/")
MOST_FILES = 32


class Journal:
    """The journal below a root folder. Used by one thread."""

    name = "journal"

    def __init__(self, root: Path, *, knows_pids: bool) -> None:
        """`knows_pids` tells whether process ids of the journal are those of this agent."""
        self._root = root
        self._knows_pids = knows_pids
        self._files: dict[Path, JournalFile] = {}
        self._began = False
        self._folders: list[Path] = []
        self._stamp: list[int] | None = None
        self._found: list[Path] = []

    def exists(self) -> bool:
        """Whether there is a journal."""
        return bool(self._paths())

    def read(self) -> Iterator[LogLine]:
        """Yield the lines that are new; the first time, begins at the end and yields nothing."""
        for path in self._paths():
            with suppress(OSError, JournalError):
                yield from self._rest(path)
                yield from self._lines(self._open(path))
        self._began = True

    def close(self) -> None:
        """Close the files."""
        while self._files:
            self._files.popitem()[1].close()

    def _rest(self, path: Path) -> Iterator[LogLine]:
        """Yield what came last in a file that was replaced by a new one, and let go of it."""
        known = self._files.get(path)
        if known is None:
            return
        status = path.stat()
        if known.key != (status.st_dev, status.st_ino):
            yield from self._lines(known)
            if self._files.pop(path, None) is not None:
                known.close()

    def _open(self, path: Path) -> JournalFile:
        """Return the file of a path, followed from its start when it was made meanwhile."""
        if path not in self._files:
            self._files[path] = JournalFile(path, WANTED, from_start=self._began)
        return self._files[path]

    def _lines(self, file: JournalFile) -> Iterator[LogLine]:
        try:
            for entry in file.read():
                if (line := self._line(entry)) is not None:
                    yield line
        except JournalError:
            self._files.pop(file.path, None)
            file.close()

    def _line(self, entry: Entry) -> LogLine | None:
        if entry.get("SYSLOG_FACILITY") not in AUTH or "MESSAGE" not in entry:
            return None
        exe, pid = entry.get("_EXE", ""), entry.get("_PID", "")
        program = os.path.basename(exe) or entry.get("SYSLOG_IDENTIFIER", "")  # noqa: PTH119
        is_known = exe.startswith(SYSTEM_FOLDERS) and program in PROGRAMS
        return LogLine(
            int(entry[TIME]) * 1000,
            program,
            int(pid) if self._knows_pids and pid.isdecimal() else 0,
            entry["MESSAGE"],
            self.name,
            trusted=is_known or entry.get("_UID") == "0",
        )

    def _paths(self) -> Sequence[Path]:
        """Return the files that are written to now: neither archived nor set aside as damaged.

        The folders are read again only when a name in them has changed: a look costs little.
        """
        if self._stamp is None or self._stamp != _stamp(self._folders):
            self._folders = [self._root / folder for folder in FOLDERS]
            self._folders += [one for folder in self._folders for one in _within(folder)]
            self._stamp = _stamp(self._folders)
            every = [path for folder in self._folders for path in folder.glob("*.journal")]
            self._found = [path for path in sorted(every) if "@" not in path.name][:MOST_FILES]
        return self._found


def _within(folder: Path) -> list[Path]:
    with suppress(OSError):
        return [one for one in folder.iterdir() if one.is_dir()][:MOST_FILES]
    return []


def _stamp(folders: Sequence[Path]) -> list[int] | None:
    """Return when names in the folders changed last; None when that may be going on."""
    stamp = []
    for folder in folders:
        try:
            changed = os.stat(folder).st_mtime_ns  # noqa: PTH116 - done all the time
        except OSError:
            changed = 0
        if abs(time.time_ns() - changed) < RACY_NS:
            return None
        stamp.append(changed)
    return stamp
