"""Who holds an embedded store's folder: one process at a time, and one folder in a process.

chDB itself refuses both cases, but with texts that do not say who is in the way.
"""

from __future__ import annotations

import fcntl
import os
import threading
from typing import TYPE_CHECKING, Final

from deodar.store.errors import StoreBusy, StoreError

if TYPE_CHECKING:
    from pathlib import Path

LOCK_NAME: Final = "deodar.lock"

_guard = threading.Lock()
_held: list[Path] = []  # at most one; the engine library allows no more in a process


class Ownership:
    """The right to open one folder, from `take` until `release`."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self._folder = folder
        self._descriptor = descriptor

    @classmethod
    def take(cls, folder: Path) -> Ownership:
        """Make the folder if need be (mode 0700) and hold it for this process.

        Raises StoreBusy when another engine holds this folder, or another one in this process;
        StoreError when the folder cannot be made or written.
        """
        with _guard:
            if _held and _held[0] != folder:
                raise StoreBusy(
                    f"this process already holds the store in {_held[0]} and can hold only one; "
                    f"close it before opening {folder}"
                )
            descriptor = _lock(folder)
            _held.append(folder)
            return cls(folder, descriptor)

    def release(self) -> None:
        """Let the folder go; a second call does nothing."""
        with _guard:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
                _held.remove(self._folder)


def _lock(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise StoreError(f"cannot open a store in {folder}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StoreBusy(
            f"the store in {folder} is held by process {holder}; stop it, or ask it instead"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
