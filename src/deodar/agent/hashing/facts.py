"""What is said about a file, and how an open file is described without reading it whole."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum

from deodar.agent.enrich.statx import birth_time_ns
from deodar.agent.sensors.base import FileIdentity

HEADER_BYTES = 16
UNKNOWN, OTHER, PE_IMAGE, OTHER_EXECUTABLE, ELF = 0, 1, 2, 3, 8
"""Types of files, with the numbers of the field FileType."""
MAGIC = ((b"\x7fELF", ELF), (b"MZ", PE_IMAGE), (b"#!", OTHER_EXECUTABLE))


class Rest(Enum):
    """What is to be said yet of the facts that are not there."""

    NOTHING = "nothing"
    """They are complete, or will never be."""
    COMING = "coming"
    """They are being computed."""
    SKIPPED = "skipped"
    """There was no processor time left for the fuzzy hash; it can be asked for again."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is said about a file: sizes in bytes, times in µs since the epoch, hashes in hex."""

    size: int
    created_us: int | None
    """None where the file system keeps no time of birth."""
    modified_us: int
    file_type: int
    """One of the numbers of the field FileType."""
    header: str = ""
    """The first 16 bytes in hex; "" when they could not be read, or there are none."""
    md5: str = ""
    """"" when the file was not hashed."""
    sha256: str = ""
    entropy: int | None = None
    """Thousandths of a bit per byte; of a large file that of a part (`measures.entropy`)."""
    fuzzy: str = ""
    """The ssdeep hash; "" when it was not made, or not yet."""
    identity: FileIdentity | None = None
    rest: Rest = Rest.NOTHING

    @property
    def is_elf(self) -> bool:
        """Whether it is a native program or library."""
        return self.file_type == ELF


def describe(descriptor: int, identity: FileIdentity) -> FileFacts:
    """Return what an open file's inode and first bytes tell."""
    status = os.fstat(descriptor)
    try:
        first = os.pread(descriptor, HEADER_BYTES, 0)
    except OSError:
        first = b""
    born = birth_time_ns(descriptor)
    return FileFacts(
        size=status.st_size,
        created_us=born // 1000 if born is not None else None,
        modified_us=status.st_mtime_ns // 1000,
        file_type=type_of(first),
        header=first.hex(),
        identity=identity,
    )


def type_of(first: bytes) -> int:
    """Return the type of a file that begins so."""
    return next((number for magic, number in MAGIC if first.startswith(magic)), OTHER)


def identity_of(status: os.stat_result) -> FileIdentity:
    """Return what tells this content of a file from another."""
    return FileIdentity(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def known_of(identity: FileIdentity | None) -> FileFacts | None:
    """Return what the identity alone tells of a file that cannot be opened."""
    if identity is None:
        return None
    return FileFacts(
        size=identity.size,
        created_us=None,
        modified_us=identity.mtime_ns // 1000,
        file_type=UNKNOWN,
        identity=identity,
    )
