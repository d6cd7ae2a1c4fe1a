"""Writes to one change: a file's event comes when it was closed, with what the file is by then.

A file that was created or written to is held until its writer closes it or ends, or for two
seconds; then the facts about it are asked for. The other changes go on at once.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deodar.agent.gather.asked import EXECUTABLE, AskedFacts
from deodar.agent.sensors.acts import FileChange, FileClosed, FileOperation, LibraryLoad
from deodar.agent.sensors.base import Exit, FileIdentity, ProcessKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deodar.agent.enrich.context import Context
    from deodar.agent.sensors.base import Record
    from deodar.agent.sensors.file_policy import FilePolicy
    from deodar.agent.settings import AgentSettings

MOST_HELD = 8192
"""Files that are held; when there are more, the oldest goes on early."""
LONG = 2.0
"""Seconds that a file is held at most."""
MOST_DATA_BYTES = 4 << 20
"""Larger files are read only if they are executable."""

Place = tuple[ProcessKey, int, int]
"""Who changes which file: process, device, inode."""


@dataclass(slots=True)
class Held:
    """A file that is being written."""

    record: FileChange
    until: float
    names: list[bytes] = field(default_factory=list)
    """Where the file may be found now, the last name first."""


class FileChanges:
    """Makes one change of the records about one open file. Used by the pipeline's worker."""

    takes: tuple[type[Any], ...] = (FileChange, FileClosed, LibraryLoad)
    sees: tuple[type[Any], ...] = (Exit,)

    def __init__(self, asked: AskedFacts, policy: Callable[[], FilePolicy]) -> None:
        """`policy` returns what is wanted now."""
        self._asked = asked
        self._policy = policy
        self._held: OrderedDict[Place, Held] = OrderedDict()
        self._of_process: dict[ProcessKey, set[Place]] = {}

    @property
    def waiting(self) -> int:
        """How many records it holds back."""
        return len(self._held) + len(self._asked)

    def take(self, record: FileChange | FileClosed | LibraryLoad) -> Sequence[Record]:
        """Return what comes of a record at once."""
        if isinstance(record, LibraryLoad):
            return self._asked.ask(record, [record.path], same=True)
        if isinstance(record, FileClosed):
            return self._closed(record)
        if self._is_excluded(record):
            return ()
        if record.closes and record.identity is not None:
            return self._hold(record, record.identity)
        if record.operation is FileOperation.RENAME:
            self._renamed(record)
        if record.operation is FileOperation.ATTRIBUTES and record.mode & EXECUTABLE:
            return self._asked.ask(record, [record.path], same=False)  # now it is a program
        return (record,)

    def see(self, record: Exit) -> Sequence[Record]:
        """Return the files of a process that has ended."""
        places = self._of_process.get(record.key)
        return [one for place in [*places] for one in self._ask(place)] if places else ()

    def due(self, now: float, *, last: bool = False) -> Sequence[Record]:
        """Return what has waited long enough; all of it at the `last`."""
        found: list[Record] = []
        while self._held:
            place, held = next(iter(self._held.items()))
            if held.until > now and not last:
                break
            found += self._ask(place)
        return [*found, *self._asked.ready(now, last=last)]

    def _is_excluded(self, record: FileChange) -> bool:
        """What comes out of an excluded folder, or goes into it, is told."""
        policy = self._policy()
        return policy.excludes(record.path) and policy.excludes(record.previous or record.path)

    def _hold(self, record: FileChange, identity: FileIdentity) -> Sequence[Record]:
        place = (record.key, identity.dev, identity.ino)
        if place in self._held:  # opened once more, or by another descriptor
            return ()
        early = self._let_go(next(iter(self._held))) if len(self._held) >= MOST_HELD else None
        self._held[place] = Held(record, time.monotonic() + LONG, [record.path])
        self._of_process.setdefault(record.key, set()).add(place)
        return () if early is None else (early.record,)

    def _closed(self, record: FileClosed) -> Sequence[Record]:
        identity = record.identity
        place = (record.key, identity.dev, identity.ino)
        held = self._held.get(place)
        if held is None:
            return ()
        if identity.mtime_ns:
            held.record.identity = identity
        return self._ask(place)

    def _renamed(self, record: FileChange) -> None:
        self._asked.renamed(record.previous, record.path)
        for place in self._of_process.get(record.key, ()):
            names = self._held[place].names
            if record.previous == names[0]:
                names.insert(0, record.path)

    def _ask(self, place: Place) -> Sequence[Record]:
        held = self._let_go(place)
        record = held.record
        size = record.identity.size if record.identity is not None else 0
        if size > MOST_DATA_BYTES and not record.mode & EXECUTABLE:
            return (record,)
        return self._asked.ask(record, held.names, same=False)

    def _let_go(self, place: Place) -> Held:
        key = place[0]
        self._of_process[key].discard(place)
        if not self._of_process[key]:
            del self._of_process[key]
        return self._held.pop(place)


def file_changes(context: Context, _settings: AgentSettings) -> FileChanges:
    """Return the gatherer of the pipeline."""
    return FileChanges(AskedFacts(context.hasher), lambda: context.file_policy)
