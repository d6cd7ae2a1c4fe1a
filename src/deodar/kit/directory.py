"""The folder in which a program keeps its state, given by ``--dir`` or ``DEODAR_DIR``.

Files are replaced in one step (write aside, sync, rename), so that a power cut leaves the old or
the new content and nothing between. Secrets are readable by their owner alone.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deodar.kit.errors import FolderInUse, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class StateDirectory:
    """One program's state folder; made by `create`, found again by `open`."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> StateDirectory:
        """Make the folder (mode 0700) if it is not there, and return it.

        Raises StateError when it cannot be made.
        """
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StateError(f"cannot make the folder {path}: {error.strerror}") from error
        return cls(path.absolute())

    @classmethod
    def open(cls, path: Path, *, made_by: str) -> StateDirectory:
        """Return an existing folder; `made_by` is the command that would have made it.

        Raises StateError when it is not there.
        """
        if not path.is_dir():
            raise StateError(f"there is no folder {path}; make it with: {made_by} --dir {path}")
        return cls(path.absolute())

    @property
    def socket(self) -> Path:
        """The local control socket of the running program."""
        return self.path / "control.sock"

    def has(self, name: str) -> bool:
        """Whether a file of that name is in the folder."""
        return (self.path / name).exists()

    def read(self, name: str) -> bytes:
        """Return a file's content; raises StateError when it is missing or unreadable."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise StateError(f"cannot read {self.path / name}: {error.strerror}") from error

    def write(self, name: str, data: bytes, *, mode: int = 0o640) -> Path:
        """Replace a file in one step, durably; returns its path.

        Raises StateError when the disk refuses; the old content is then still there.
        """
        target = self.path / name
        aside = target.with_name(f".{target.name}.{os.getpid()}.new")
        try:
            _write_synced(aside, data, mode)
            aside.replace(target)
            sync_folder(target.parent)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise StateError(f"cannot write {target}: {error.strerror}") from error
        return target

    def write_secret(self, name: str, data: bytes) -> Path:
        """Replace a file that only its owner may read (mode 0600); returns its path."""
        return self.write(name, data, mode=0o600)

    @contextmanager
    def lock(self, name: str = "lock") -> Iterator[None]:
        """Hold the folder for this process.

        Raises FolderInUse, naming the holder's process id, when another one has it.
        """
        descriptor = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            _take(descriptor, self.path)
            yield
        finally:
            os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable; raises OSError when the disk refuses."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise FolderInUse(f"{folder} is in use by process {holder}; stop it first") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _write_synced(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
