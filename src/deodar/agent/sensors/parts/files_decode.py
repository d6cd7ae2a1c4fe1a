"""From the bytes of bpf/files_records.h to records; here those of changes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from deodar.agent.sensors.acts import FileChange, FileClosed, FileOperation
from deodar.agent.sensors.errors import MalformedRecord
from deodar.agent.sensors.parts import files_reach
from deodar.agent.sensors.parts.files_record import (
    CHANGE,
    CLOSED,
    FILE,
    FROM_PROCESS,
    WILL_CLOSE,
    Fields,
    identity_of,
    key_of,
    path_of,
    previous_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.sensors.base import Record
    from deodar.agent.sensors.ring import Buffer

KINDS = {CHANGE: "file change", CLOSED: "file closed", **files_reach.KINDS}


def decode(buffer: Buffer, at: int, length: int, offset: int) -> Record:
    """Return the record of `length` bytes at `at`; `offset` takes boot time to wall clock, in ns.

    Raises MalformedRecord.
    """
    try:
        fields = FILE.unpack_from(buffer, at)
        paths = bytes(buffer[at + FILE.size : at + length])
        return _DECODERS[fields[0]](fields, paths, fields[4] + offset)
    except (KeyError, ValueError, struct.error) as error:
        raise MalformedRecord(f"{length} bytes at {at} are no record: {error}") from error


def _change(fields: Fields, paths: bytes, time: int) -> FileChange:
    flags, operation, mode, open_flags, ino = fields[1], fields[5], fields[6], fields[7], fields[9]
    return FileChange(
        time,
        key_of(fields),
        FileOperation(operation),
        path_of(fields, paths),
        previous_of(fields, paths),
        identity_of(fields) if ino else None,
        mode,
        open_flags,
        not flags & FROM_PROCESS,
        flags & WILL_CLOSE != 0,
    )


def _closed(fields: Fields, _paths: bytes, time: int) -> FileClosed:
    return FileClosed(time, key_of(fields), identity_of(fields))


_DECODERS: dict[int, Callable[[Fields, bytes, int], Record]] = {
    CHANGE: _change,
    CLOSED: _closed,
    **files_reach.DECODERS,
}
