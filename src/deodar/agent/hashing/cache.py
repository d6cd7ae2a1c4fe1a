"""Facts by the identity of their file; bounded, the longest unused leave first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deodar.agent.hashing.facts import FileFacts
    from deodar.agent.sensors.base import FileIdentity


class FactsCache:
    """For any thread."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._facts: OrderedDict[FileIdentity, FileFacts] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._facts)

    def get(self, identity: FileIdentity | None) -> FileFacts | None:
        """Return what is known of a file, None when nothing is."""
        if identity is None:
            return None
        with self._lock:
            found = self._facts.get(identity)
            if found is not None:
                self._facts.move_to_end(identity)
            return found

    def put(self, identity: FileIdentity, facts: FileFacts) -> None:
        """Remember what is known of a file."""
        with self._lock:
            self._facts[identity] = facts
            self._facts.move_to_end(identity)
            if len(self._facts) > self._entries:
                self._facts.popitem(last=False)
