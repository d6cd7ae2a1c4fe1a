"""New content for a segment that is not appended to any more, put in its place in one step.

It is written beside the segment first, without holding up anybody; then it is renamed over it. A
crash leaves the old content or the new one. Each content has a mark, by which its owner can tell
after a crash which of the two is there.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from deodar.kit.journal.files import REPLACEMENT, close, write_all
from deodar.kit.journal.segments import (
    Record,
    Segment,
    encode_preamble,
    encode_record,
    previous_header,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from deodar.kit.journal.segments import Fold


class Replacement:
    """A segment's new content, complete and on disk, but not in its place yet."""

    def __init__(self, old: Segment, new: Segment, aside: Path) -> None:
        self.old = old
        self.new = new
        self.mark = f"{old.path.name}/{aside.stat().st_ino}"
        """The name of this content: the segment's file name and the number of the inode."""
        self._aside = aside

    def take_place(self) -> None:
        """Rename the new content over the old one; raises OSError, then the old one is there."""
        self._aside.rename(self.old.path)

    def discard(self) -> None:
        """Remove the new content; the old one stays."""
        with contextlib.suppress(OSError):
            self._aside.unlink(missing_ok=True)


def write_replacement(
    old: Segment,
    identity: str,
    records: Iterable[Record],
    *,
    sync: bool,
    fold: Fold | None = None,
) -> Replacement:
    """Write `records`, which have rising numbers of the segment's own range, beside it.

    Raises OSError when the disk refuses; then nothing is left of it.
    """
    aside = old.path.with_name(REPLACEMENT)
    new = Segment(old.path, old.first)
    descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        preamble = encode_preamble(identity, old.first, previous_header(old.path, old.first))
        write_all(descriptor, preamble, 0)
        new.size = len(preamble)
        for record in records:
            _append(descriptor, new, record, fold)
        if sync:
            os.fdatasync(descriptor)
        return Replacement(old, new, aside)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    finally:
        close(descriptor)


def is_in_place(folder: Path, mark: str) -> bool:
    """Return whether the content with this mark is the segment's present one."""
    name, _, inode = mark.partition("/")
    try:
        return str((folder / name).stat().st_ino) == inode
    except OSError:
        return False


def _append(descriptor: int, segment: Segment, record: Record, fold: Fold | None) -> None:
    segment.add(record.number, segment.size)
    for part in encode_record(*record):
        write_all(descriptor, part, segment.size)
        segment.size += len(part)
    if fold is not None:
        segment.digest = fold(segment.digest, record.header)
