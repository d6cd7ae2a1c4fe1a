"""Room on the server's disks: below a reserve no new telemetry is taken.

The reserve is for what must go on then: reading, administration, the store's merges. Telemetry
waits in the agents' spools meanwhile. There is a little more to come back to than to fall below, so
that a disk at the limit does not go to and fro with each packet.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LOOK_EVERY = 0.5
_BACK = 16
"""One part in so many of the reserve must be free beyond it to take telemetry again."""

log = logger("edr.space")


class Space:
    """Watches the file systems of some folders. May be used in any thread."""

    def __init__(
        self,
        folders: Sequence[Path],
        reserve: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`reserve` is in bytes; with 0 there is always room."""
        self._folders = tuple(folders)
        self._reserve = reserve
        self._clock = clock
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._free = 0
        self._shortage: str | None = None

    @property
    def free(self) -> int:
        """Bytes that are free on the fullest of the file systems, as last seen."""
        self.shortage()
        return self._free

    def shortage(self) -> str | None:
        """Return why no telemetry is taken now, for people, or None; costs little to ask often."""
        with self._lock:
            now = self._clock()
            if now - self._looked >= _LOOK_EVERY:
                self._looked = now
                self._look()
            return self._shortage

    def _look(self) -> None:
        self._free, folder = min(_free(folder) for folder in self._folders)
        was = self._shortage
        needed = self._reserve + (self._reserve // _BACK if was else 0)
        self._shortage = None
        if self._free < needed:
            self._shortage = (
                f"the disk of {folder} has {self._free >> 20} MB left; {needed >> 20} MB are kept "
                "free (ingest.free_bytes)"
            )
        if bool(was) != bool(self._shortage):
            told = log.warning if self._shortage else log.info
            event = "telemetry_refused" if self._shortage else "telemetry_taken_again"
            told(event, folder=folder, free_bytes=self._free, free_wanted=needed)


def written(folder: Path, store_url: str) -> list[Path]:
    """Return the folders that a server writes into: its own, and that of an embedded store."""
    url = urlsplit(store_url)
    store = Path(unquote(url.path))
    return [folder, store] if url.scheme == "chdb" and store.exists() else [folder]


def _free(folder: Path) -> tuple[int, str]:
    """Return the bytes free around a folder, 0 when its disk cannot even be asked."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0, str(folder)
    return found.f_bavail * found.f_frsize, str(folder)
