"""Who wrote which file of late, as the sensor's records tell; kept for some seconds.

Filled by the thread of the pipeline, asked by the one of the watcher.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from deodar.agent.sensors.acts import FileChange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deodar.agent.sensors.base import ProcessKey, Record

KEPT_NS = 15_000_000_000
MOST_DOERS = 8
"""Processes that are kept in mind for one file."""
MOST = 4096
"""Files that are kept in mind; the oldest are forgotten."""


class Doer(NamedTuple):
    """A process that changed a file."""

    key: ProcessKey
    time_ns: int
    device: int | None
    """Of the file; None when it is gone, or not known."""


class Doers:
    """The gatherer that sees changes of files below some paths; it takes none."""

    takes: tuple[type[Any], ...] = ()
    sees: tuple[type[Any], ...] = (FileChange,)
    waiting = 0

    def __init__(self, paths: Sequence[str], heard: Callable[[str], None]) -> None:
        """`paths` are beginnings, or middles that start with "*"; `heard` is told each file."""
        self._starts = tuple(path.encode() for path in paths if not path.startswith("*"))
        self._middles = tuple(path[1:].encode() for path in paths if path.startswith("*"))
        self._heard = heard
        self._lock = threading.Lock()
        self._by_path: OrderedDict[str, tuple[Doer, ...]] = OrderedDict()

    def take(self, record: Any) -> Sequence[Record]:
        """Never called: nothing is taken."""
        return (record,)

    def see(self, record: FileChange) -> Sequence[Record]:
        """Keep in mind who changed a file that matters."""
        if record.path.startswith(self._starts) or self._has_middle(record.path):
            self._note(record.path, record)
        if record.previous and record.previous.startswith(self._starts):
            self._note(record.previous, record)
        return ()

    def due(self, _now: float, *, last: bool = False) -> Sequence[Record]:
        """Nothing is ever due."""
        return ()

    def of(
        self, path: str, identity: tuple[int, int] | None, not_before_ns: int
    ) -> tuple[Doer, ...]:
        """Return who changed a file, the last one first; nothing when nobody was seen.

        Where both the record and the caller know the file's device, they must agree: the same
        path in a container is another file.
        """
        with self._lock:
            doers = self._by_path.get(path, ())
        device = identity[0] if identity is not None else None
        return tuple(
            doer
            for doer in doers
            if doer.time_ns >= not_before_ns and (device is None or doer.device in (None, device))
        )

    def _has_middle(self, path: bytes) -> bool:
        return any(middle in path for middle in self._middles)

    def _note(self, path: bytes, record: FileChange) -> None:
        name = path.decode("utf-8", "surrogateescape")
        device = record.identity.dev if record.identity is not None else None
        doer = Doer(record.key, record.time_ns, device)
        with self._lock:
            others = [one for one in self._by_path.get(name, ()) if one.key != record.key]
            self._by_path[name] = (doer, *others[: MOST_DOERS - 1])
            self._by_path.move_to_end(name)
            while len(self._by_path) > MOST:
                self._by_path.popitem(last=False)
        self._heard(name)
