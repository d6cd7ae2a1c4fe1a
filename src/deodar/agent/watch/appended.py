"""What is appended to a file, over its rotation: the bytes since the last look, bounded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

READ_BYTES = 1 << 20
"""At most that much is read at one look; the rest at the next ones."""


class Appended:
    """One file that others append to. The first look gives nothing: what is there is old."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._key: tuple[int, int] | None = None
        self._at = 0
        self._began = False

    def read(self, unit: int = 1) -> bytes:
        """Return what is new, in whole units of so many bytes; b"" when the file is not there.

        A file that was replaced, or cut, is read from its start.
        """
        if self._is_read():
            return b""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                self._place(status)
                file.seek(self._at)
                new = file.read(READ_BYTES)
        except OSError:
            new = b""
        self._began = True
        whole = new[: len(new) - len(new) % unit]
        self._at += len(whole)
        return whole

    def _is_read(self) -> bool:
        """Whether the file has nothing new; asked all the time, so it is not opened for that."""
        try:
            status = os.stat(self.path)  # noqa: PTH116 - see above
        except OSError:
            return False
        return (
            self._began
            and (status.st_dev, status.st_ino) == self._key
            and (status.st_size == self._at)
        )

    def give_back(self, count: int) -> None:
        """Let the last bytes be read again: they are the beginning of something."""
        self._at -= count

    def _place(self, status: os.stat_result) -> None:
        key = (status.st_dev, status.st_ino)
        if not self._began:
            self._at = status.st_size
        elif key != self._key or status.st_size < self._at:
            self._at = 0
        self._key = key
