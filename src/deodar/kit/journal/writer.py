"""The newest segment, open to append to, and how segments are begun."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from deodar.kit.directory import sync_folder
from deodar.kit.journal.files import NEXT, close, write_all
from deodar.kit.journal.segments import Segment, encode_preamble, name_of

if TYPE_CHECKING:
    from pathlib import Path


class Writer:
    """Appends to the last of `segments`, a list that it shares with its journal. Not locked."""

    def __init__(self, folder: Path, identity: str, segments: list[Segment], *, sync: bool) -> None:
        """Open the newest segment, if there is one; raises OSError."""
        self._folder = folder
        self._identity = identity
        self._segments = segments
        self._sync = sync
        self._torn = True  # there may be bytes behind the newest segment's end, of a failed append
        self._folder_synced = True
        self._closed = False
        self._newest = -1
        if segments:
            self._newest = os.open(segments[-1].path, os.O_RDWR | os.O_CLOEXEC)

    def write(self, data: bytes) -> None:
        """Put bytes behind the newest segment's end, durably; on failure they do not count.

        The segment's size stays as it is, for the caller to change. Raises OSError.
        """
        self._torn = True
        write_all(self._newest, data, self._segments[-1].size)
        if self._sync:
            os.fdatasync(self._newest)
            self.sync_folder()
        self._torn = False

    def repair(self) -> None:
        """Remove what a failed append may have left; raises OSError."""
        if self._closed:
            raise OSError(errno.EBADF, "it is closed")
        if self._torn and self._segments:
            os.ftruncate(self._newest, self._segments[-1].size)
            self._torn = False

    def start(self, first: int, previous: bytes) -> None:
        """Begin a segment with record `first`, behind one with the header `previous`.

        It appears under its name only when complete. Raises OSError.
        """
        path, aside = self._folder / name_of(first), self._folder / NEXT
        preamble = encode_preamble(self._identity, first, previous)
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_all(descriptor, preamble, 0)
            if self._sync:
                os.fdatasync(descriptor)
            aside.rename(path)
        except OSError:
            close(descriptor)
            with contextlib.suppress(OSError):
                aside.unlink()
            raise
        before, self._newest, self._folder_synced = self._newest, descriptor, False
        self._segments.append(Segment(path, first, len(preamble)))
        close(before)

    def sync_folder(self) -> None:
        """Make the name of a segment that was begun durable; raises OSError."""
        if not self._folder_synced:
            sync_folder(self._folder)
            self._folder_synced = True

    def close(self) -> None:
        """Let go of the file; all that was written stays. May be called more than once."""
        with contextlib.suppress(OSError):
            self.repair()
        self._closed = True
        close(self._newest)
        self._newest = -1
