"""The tar file of a backup: written once, checked as a whole before anything of it is used."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import tarfile
from typing import TYPE_CHECKING, BinaryIO, Final, Self, TypeVar

import msgspec

from deodar.edr.errors import BackupError
from deodar.kit.directory import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

T = TypeVar("T")

FORMAT: Final = 1
HEADER: Final = "backup.json"
MANIFEST: Final = "manifest.json"
LARGEST: Final = 1 << 30
"""Bytes that a member may have which is read into memory."""
_LARGEST_MANIFEST: Final = 256 << 20
_PIECE: Final = 1 << 20
_PART: Final = r"[A-Za-z0-9_][A-Za-z0-9_.+@:-]*"
_NAME: Final = re.compile(rf"(?:{_PART}/)*{_PART}", re.ASCII)


class Header(msgspec.Struct, frozen=True):
    """What a backup is of."""

    format: int
    version: str
    """Of the program that made it."""
    made_us: int
    server_id: str
    last_seq: int
    """The number of the last event in it, 0 for none."""
    revision: str
    """Of the tables of control data."""
    keys: bool
    """Whether the server's private keys are in it."""


class Member(msgspec.Struct, frozen=True):
    """One file in a backup."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """All files in a backup but the manifest itself."""

    members: list[Member]
    events: int


class Writer:
    """Writes a backup beside its final name, readable by its owner alone, and renames it at last.

    Raises BackupError when the file exists or the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._aside = self._path.with_name(f".{self._path.name}.part")
        if self._path.exists():
            raise BackupError(f"{self._path} exists; give another name")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(self._aside, flags, 0o600)
            os.fchmod(descriptor, 0o600)
        except OSError as error:
            raise BackupError(f"cannot write {self._path}: {error.strerror}") from error
        self._file = os.fdopen(descriptor, "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self._members: list[Member] = []
        self.size = 0
        """Of the finished file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._aside.unlink(missing_ok=True)
            with contextlib.suppress(Exception):  # what it would write goes anyway
                self._tar.close()
        self._file.close()

    def add(self, name: str, data: bytes) -> None:
        """Add a file with this content."""
        self._put(name, len(data), io.BytesIO(data))

    def add_file(self, name: str, path: Path) -> None:
        """Add a file of the disk, as long as it is when it is opened."""
        try:
            with path.open("rb") as source:
                self._put(name, os.fstat(source.fileno()).st_size, source)
        except FileNotFoundError:
            return  # it went while the backup was made

    def finish(self, events: int) -> None:
        """Close the backup and give it its name, durably."""
        self._put(MANIFEST, *_sized(msgspec.json.encode(Manifest(self._members, events))))
        try:
            self._tar.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self.size = self._file.tell()
            os.link(self._aside, self._path)  # unlike a rename it never replaces a file
            self._aside.unlink()
            sync_folder(self._path.parent)
        except OSError as error:
            raise BackupError(f"cannot write {self._path}: {error.strerror}") from error

    def _put(self, name: str, size: int, source: BinaryIO) -> None:
        if not _safe(name):
            raise BackupError(f"{name!r} cannot be in a backup: rename or remove that file")
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        hashed = _Hashed(source)
        try:
            self._tar.addfile(info, hashed)
        except OSError as error:
            raise BackupError(f"cannot write {self._path}: {error}") from error
        self._members.append(Member(name, size, hashed.digest()))


class Archive:
    """A backup that was checked as a whole when it was opened."""

    def __init__(self, path: Path) -> None:
        """Read all of it; raises BackupError when it is not a whole and sound backup."""
        self._path = path
        found: dict[str, Member] = {}
        manifest: bytes | None = None
        header: bytes | None = None
        for info, source in self._walk():
            if manifest is not None:
                raise BackupError(f"{path} goes on behind its manifest; it was changed")
            if info.name == MANIFEST:
                manifest = _whole(info, source, _LARGEST_MANIFEST, path)
                continue
            hashed = _Hashed(source)
            kept = hashed.drain(keep=info.name == HEADER)
            header = kept if info.name == HEADER else header
            if info.name in found:
                raise BackupError(f"{path} has {info.name} twice; it was changed")
            found[info.name] = Member(info.name, info.size, hashed.digest())
        self.header = _decoded(header, Header, HEADER, path)
        self.manifest = _decoded(manifest, Manifest, MANIFEST, path)
        if self.header.format != FORMAT:
            raise BackupError(
                f"{path} has the format {self.header.format}; this program reads {FORMAT}. "
                "Restore it with a newer version of Deodar"
            )
        _compare(found, self.manifest, path)

    def read(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Yield the files below a prefix in their order: names without it, and contents."""
        for info, source in self._walk():
            if info.name.startswith(prefix):
                yield info.name.removeprefix(prefix), _whole(info, source, LARGEST, self._path)

    def copy(self, prefix: str, folder: Path) -> None:
        """Copy the files below a prefix into a folder, readable by their owner alone."""
        for info, source in self._walk():
            if not info.name.startswith(prefix):
                continue
            target = folder / info.name.removeprefix(prefix)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                while piece := source.read(_PIECE):
                    file.write(piece)

    def _walk(self) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
        with _told(self._path), tarfile.open(self._path, mode="r|") as tar:
            for info in tar:
                source = tar.extractfile(info) if info.isfile() else None
                if source is None or not _safe(info.name):
                    raise BackupError(f"{self._path} has a strange entry, {info.name!r}")
                yield info, source  # type: ignore[misc]  # typeshed: IO, not BinaryIO


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what reading a file can raise into BackupError."""
    try:
        yield
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise BackupError(f"{path} is no backup, or damaged: {error}") from error
    except OSError as error:
        raise BackupError(f"cannot read {path}: {error.strerror or error}") from error


class _Hashed(io.RawIOBase):
    """A file whose bytes are counted into a SHA-256 as they are read."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        try:
            piece = self._source.read(size)
        except tarfile.TarError as error:
            raise BackupError(f"the backup is damaged, or was cut off: {error}") from error
        self._sha256.update(piece)
        return piece

    def drain(self, *, keep: bool) -> bytes:
        """Read to the end; returns the first part of it if it is to be kept."""
        kept = b""
        while piece := self.read(_PIECE):
            kept = kept or (piece if keep else b"")
        return kept

    def digest(self) -> str:
        return self._sha256.hexdigest()


def _sized(data: bytes) -> tuple[int, BinaryIO]:
    return len(data), io.BytesIO(data)


def _safe(name: str) -> bool:
    """Whether a name stays inside the folder that it is put into: no part begins with a dot."""
    return _NAME.fullmatch(name) is not None


def _whole(info: tarfile.TarInfo, source: BinaryIO, largest: int, path: Path) -> bytes:
    if info.size > largest:
        raise BackupError(f"{path}: {info.name} has {info.size} bytes; at most {largest} are read")
    with _told(path):
        return source.read()


def _decoded(data: bytes | None, kind: type[T], name: str, path: Path) -> T:
    if data is None:
        raise BackupError(f"{path} has no {name}: it is no backup, or was cut off")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupError(f"{path}: {name} is damaged: {error}") from error


def _compare(found: dict[str, Member], manifest: Manifest, path: Path) -> None:
    told = {member.name: member for member in manifest.members}
    for name in sorted(told.keys() | found.keys()):
        if name not in found:
            raise BackupError(f"{path}: {name} is missing; it was cut off or changed")
        if name not in told:
            raise BackupError(f"{path}: {name} is not in the manifest; it was changed")
        if told[name] != found[name]:
            raise BackupError(f"{path}: {name} is damaged: its SHA-256 or size is another")
