"""What a journal's folder holds after a crash, or after its disk changed bytes.

The newest segment may end in the middle of a record: that append was never confirmed, so the torn
bytes are cut off and counted. Anything else that cannot be read was good once: it is copied into
``damaged/`` and listed, and what stands behind it is read on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deodar.kit.journal.files import segment_files
from deodar.kit.journal.segments import Gap, Scan, Segment, is_whole, lost_in, scan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deodar.kit.journal.segments import Fold


@dataclass(frozen=True)
class Damage:
    """Bytes `start` to `end` of a segment file that were found unreadable."""

    segment: str
    start: int
    end: int
    kept: Path | None  # where they were set aside; None if that failed


@dataclass
class Recovered:
    """A folder's state, ready to go on from."""

    segments: list[Segment] = field(default_factory=list)
    identities: list[str] = field(default_factory=list)  # named in the segments
    damage: list[Damage] = field(default_factory=list)
    last: int = 0  # the highest number that may ever have been given
    last_header: bytes = b""
    cut_bytes: int = 0


def recover(folder: Path, fold: Fold | None = None) -> Recovered:
    """Read all segments of a folder, repair the newest one, and return the state.

    Raises OSError when the disk fails.
    """
    state = Recovered()
    scans = [scan(path, first, fold) for first, path in segment_files(folder)]
    for found in scans:
        _take(state, found, newest=found is scans[-1])
        if found.identity is not None:
            state.identities.append(found.identity)
        if found.last_header is not None:
            state.last_header = found.last_header
    return state


def set_aside(path: Path, gap: Gap, data: bytes) -> Damage:
    """Keep a copy of unreadable bytes of a segment, and return the report of it."""
    copy = path.parent / "damaged" / f"{path.name}.{gap.start}"
    try:
        copy.parent.mkdir(exist_ok=True, mode=0o700)
        copy.write_bytes(data)
    except OSError:
        return Damage(path.name, gap.start, gap.end, None)
    return Damage(path.name, gap.start, gap.end, copy)


def _take(state: Recovered, found: Scan, *, newest: bool) -> None:
    segment, tail = found.segment, found.tail
    data = segment.path.read_bytes() if found.gaps or tail.start < tail.end else b""
    lost = data[tail.start : tail.end]
    good_once = not newest or found.identity is None or is_whole(lost)
    gaps: Sequence[Gap] = (*found.gaps, tail) if lost and good_once else found.gaps
    state.damage += [set_aside(segment.path, gap, data[gap.start : gap.end]) for gap in gaps]
    state.last = max(state.last, segment.last)
    if newest and (lost or not segment.size):
        state.last += lost_in(lost)  # a number that may have been seen is not given twice
        state.cut_bytes += len(lost)
        _cut(segment)
    if segment.size or not newest:
        state.segments.append(segment)


def _cut(segment: Segment) -> None:
    """Remove what is behind the last good record; the whole file if nothing in it is readable."""
    if segment.size == 0:
        segment.path.unlink()
        return
    with segment.path.open("r+b") as file:
        file.truncate(segment.size)
        os.fsync(file.fileno())
