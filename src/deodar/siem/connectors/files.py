"""The files that the `file` connector follows: which there are, and what is new in them.

Blocking, one call at a time. The way of a file: found by a pattern; read from its beginning, or
from where a file with the same content was left; renamed, it is read on; truncated, it begins anew;
gone, it is read to its end and let go.
"""

from __future__ import annotations

import glob
import os
import stat
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from deodar.kit.logging import logger
from deodar.siem.connectors.tail import HEAD, Place, Reader, beginning, is_same, matches, moved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deodar.siem.connectors.file import FileSettings

TURN = 262_144
"""Bytes that one file may give before the others have their turn."""
_REMEMBERED = 200
_PATIENCE = 5.0
_FORGET_SECONDS = 7 * 86_400
_log = logger("siem.connector")


class State(msgspec.Struct, frozen=True):
    """Where all files stand, and where files stood that are gone or were truncated."""

    places: list[Place] = []
    former: list[Place] = []


@dataclass
class Harvest:
    """What one round gave: lines by file, the beginnings of lines too long, whether there is more.

    `state` is where the files stand behind it.
    """

    lines: list[tuple[str, list[bytes]]] = field(default_factory=list)
    too_long: list[tuple[str, bytes]] = field(default_factory=list)
    bytes: int = 0
    more: bool = False
    state: State = field(default_factory=State)


@dataclass
class _Followed:
    place: Place
    reader: Reader | None = None
    read_out: tuple[int, int] | None = None
    """Its size and time of change when nothing more was in it."""
    missing_since: float = 0.0


class Files:
    """All files of one connector."""

    def __init__(
        self,
        settings: FileSettings,
        state: State | None,
        count: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Go on from `state`, or begin where the settings say."""
        self._settings = settings
        self._count = count
        self._clock = clock
        self._first = state is None
        self._followed: OrderedDict[tuple[int, int], _Followed] = OrderedDict(
            (place.id, _Followed(place)) for place in (state.places if state else ())
        )
        self._former = list(state.former) if state else []
        self._put_off: dict[tuple[int, int], float] = {}
        self._delimiter = settings.delimiter.encode()

    def close(self) -> None:
        """Let go of all files."""
        for one in self._followed.values():
            self._let_go(one)

    def look(self) -> None:
        """Find out which files there are now."""
        found = self._found()
        for identity, path in found.items():
            if identity in self._followed:
                self._seen(self._followed[identity], path)
        self._put_off = {key: since for key, since in self._put_off.items() if key in found}
        for identity, one in list(self._followed.items()):
            if identity not in found:
                self._missed(one)
        for identity, path in found.items():
            if identity not in self._followed:
                self._begin(identity, path)
        self._first = False
        self._forget()

    def harvest(self, most: int) -> Harvest:
        """Return what is new, about `most` bytes of it; the files in turn."""
        harvest = Harvest()
        for identity in list(self._followed):
            one = self._followed[identity]
            try:
                self._read(one, harvest)
            except OSError as error:
                self._failed(one, error)
            if identity in self._followed:
                self._followed.move_to_end(identity)
            if harvest.bytes >= most:
                harvest.more = True
                break
        self._close_idle()
        harvest.state = self.state()
        return harvest

    def state(self) -> State:
        """Return where the files stand."""
        places = sorted((one.place for one in self._followed.values()), key=lambda place: place.id)
        return State(places, list(self._former))

    # Which files there are

    def _found(self) -> dict[tuple[int, int], str]:
        found: dict[tuple[int, int], str] = {}
        left = self._settings.max_files - len(self._followed)
        for path in self._paths():
            identity = _identity(path)
            if identity is None or identity in found:
                continue
            if identity not in self._followed:
                left -= 1
                if left < 0:
                    continue
            found[identity] = path
        if left < 0:
            self._count("looks_with_too_many_files")
        return found

    def _paths(self) -> Iterator[str]:
        wanted = self._settings
        for pattern in wanted.paths:
            for path in sorted(glob.iglob(pattern, recursive=True)):  # noqa: PTH207 - absolute ones
                packed = path.endswith(".gz")
                if any(Path(path).match(one) for one in wanted.exclude):
                    continue
                if not packed or wanted.packed:
                    yield path

    def _seen(self, one: _Followed, path: str) -> None:
        one.missing_since = 0.0
        if path != one.place.path or one.place.gone:
            one.place = msgspec.structs.replace(one.place, path=path, gone=0)
            one.read_out = None
        try:
            reader = self._opened(one)
            if (
                reader is not None
                and self._may_be_more(one, reader)
                and not is_same(reader, one.place)
            ):
                self._anew(one, reader)  # before a copy of it is looked at
        except OSError as error:
            self._failed(one, error)

    def _missed(self, one: _Followed) -> None:
        """Follow a file that no pattern finds any more, to its end."""
        if not one.missing_since:
            one.missing_since = self._clock()
            one.read_out = None
        if one.reader is not None:
            return
        path = _renamed(one.place)
        if path is None:
            _log.info("a file is gone", path=one.place.path, read_to=one.place.offset)
            self._count("files_gone_while_closed")
            self._drop(one)
        elif path != one.place.path:
            one.place = msgspec.structs.replace(one.place, path=path)

    def _begin(self, identity: tuple[int, int], path: str) -> None:
        try:
            reader = Reader(Path(path))
            if self._is_put_off(identity, reader):
                reader.close()
                return
            place = self._first_place(path, reader)
        except OSError as error:
            self._count("files_unreadable")
            _log.warning("a file cannot be read", path=path, reason=error.strerror or str(error))
            return
        self._put_off.pop(identity, None)
        self._followed[identity] = _Followed(place, reader)
        self._count("files_found")

    def _is_put_off(self, identity: tuple[int, int], reader: Reader) -> bool:
        """Whether to wait with a file that is a copy of one that is followed.

        It may be about to take that one's place: by copying and truncating, or by packing.
        """
        if not matches(reader, (one.place for one in self._followed.values())):
            return False
        since = self._put_off.setdefault(identity, self._clock())
        return self._clock() - since < self._settings.linger_seconds + _PATIENCE

    def _first_place(self, path: str, reader: Reader) -> Place:
        """Return where to begin: where a former file of the same content was left, or as set."""
        place = beginning(path, reader)
        folder = Path(path).parent
        left = [
            one
            for one in matches(reader, self._former)
            if one.head_size == HEAD or Path(one.path).parent == folder
        ]
        if left:
            best = max(left, key=lambda one: one.offset)
            self._former.remove(best)
            self._count("copies_followed")
            return moved(reader, place, best.offset)
        if self._first and self._settings.start == "end" and not reader.packed:
            return moved(reader, place, _line_end(reader, self._delimiter))
        return place

    # What is in them

    def _read(self, one: _Followed, harvest: Harvest) -> None:
        reader = self._opened(one)
        if reader is None:
            return
        if not self._may_be_more(one, reader):
            self._at_end(one, reader, harvest)
            return
        place = one.place
        size = max(TURN, self._settings.max_event_bytes + len(self._delimiter) + 1)
        data = reader.read(size, place.offset)
        if not is_same(reader, place):
            self._anew(one, reader)
            return
        taken = self._lines(place, data, size, harvest)
        if taken is None:
            one.read_out = _mark(reader)
            self._at_end(one, reader, harvest)
            return
        consumed, passing = taken
        place = moved(reader, place, place.offset + consumed)
        one.place = msgspec.structs.replace(place, passing=passing)
        one.read_out = None
        harvest.bytes += consumed
        harvest.more = True

    def _opened(self, one: _Followed) -> Reader | None:
        if one.reader is None:
            reader = Reader(Path(one.place.path))
            status = reader.status
            if (status.st_dev, status.st_ino) != one.place.id:
                reader.close()  # another one has the path by now; the next look sorts it out
                return None
            one.reader = reader
        return one.reader

    def _may_be_more(self, one: _Followed, reader: Reader) -> bool:
        return one.read_out is None or one.read_out != _mark(reader)

    def _lines(
        self, place: Place, data: bytes, size: int, harvest: Harvest
    ) -> tuple[int, bool] | None:
        """Put complete lines into the harvest; return bytes taken and whether in a long line."""
        longest, delimiter = self._settings.max_event_bytes, self._delimiter
        end = data.rfind(delimiter)
        if end < 0 and len(data) < size:
            return None
        if end < 0:
            if not place.passing:
                harvest.too_long.append((place.path, data[:longest]))
            return len(data) - len(delimiter) + 1, True
        lines = data[:end].split(delimiter)
        if place.passing:
            lines = lines[1:]
        good = []
        for line in lines:
            if len(line) > longest:
                harvest.too_long.append((place.path, line[:longest]))
            elif stripped := _stripped(line, delimiter):
                good.append(stripped)
        if good:
            harvest.lines.append((place.path, good))
        return end + len(delimiter), False

    def _anew(self, one: _Followed, reader: Reader) -> None:
        """Begin a truncated or overwritten file from its beginning."""
        _log.info("a file was truncated", path=one.place.path, read_to=one.place.offset)
        self._count("files_truncated")
        self._remember(one.place)
        one.place = beginning(one.place.path, reader)
        one.read_out = None

    def _at_end(self, one: _Followed, reader: Reader, harvest: Harvest) -> None:
        """Let a file go that is gone and read; its last line needs no end then."""
        if reader.packed and not one.missing_since:
            self._take_rest(one, reader, harvest)
            return
        since = self._clock() - one.missing_since
        if one.missing_since and since >= self._settings.linger_seconds:
            self._take_rest(one, reader, harvest)
            self._drop(one)

    def _take_rest(self, one: _Followed, reader: Reader, harvest: Harvest) -> None:
        place = one.place
        rest = reader.read(self._settings.max_event_bytes, place.offset)
        if rest and not place.passing:
            harvest.lines.append((place.path, [_stripped(rest, self._delimiter) or rest]))
        if rest:
            one.place = moved(reader, place, place.offset + len(rest))
            harvest.bytes += len(rest)
            one.read_out = _mark(reader)

    # Forgetting

    def _drop(self, one: _Followed) -> None:
        self._let_go(one)
        self._remember(one.place)
        self._followed.pop(one.place.id, None)

    def _remember(self, place: Place) -> None:
        self._former.append(msgspec.structs.replace(place, gone=int(time.time())))
        del self._former[:-_REMEMBERED]

    def _forget(self) -> None:
        oldest = time.time() - _FORGET_SECONDS
        self._former = [place for place in self._former if place.gone >= oldest]

    def _failed(self, one: _Followed, error: OSError) -> None:
        self._let_go(one)
        if not isinstance(error, FileNotFoundError):
            self._count("read_errors")
            reason = error.strerror or str(error)
            _log.warning("a file cannot be read", path=one.place.path, reason=reason)

    def _close_idle(self) -> None:
        """Keep no more files open than allowed; one that is gone from its path stays open."""
        open_ones = [one for one in self._followed.values() if one.reader is not None]
        beyond = len(open_ones) - self._settings.max_open
        for one in open_ones[: max(beyond, 0)]:
            if not one.missing_since:
                self._let_go(one)

    def _let_go(self, one: _Followed) -> None:
        if one.reader is not None:
            one.reader.close()
        one.reader = None


def _identity(path: str) -> tuple[int, int] | None:
    """Return device and inode of a regular file, None for anything else."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _mark(reader: Reader) -> tuple[int, int]:
    status = reader.status
    return status.st_size, status.st_mtime_ns


def _stripped(line: bytes, delimiter: bytes) -> bytes:
    return line.rstrip(b"\r\n") if delimiter == b"\n" else line


def _line_end(reader: Reader, delimiter: bytes) -> int:
    """Return where the last complete line ends."""
    end = reader.status.st_size
    while end > 0:
        start = max(0, end - TURN)
        found = reader.read(end - start, start).rfind(delimiter)
        if found >= 0:
            return start + found + len(delimiter)
        end = start
    return 0


def _renamed(place: Place) -> str | None:
    """Return the path that a file has now, in the same folder, or None."""
    folder = Path(place.path).parent
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.inode() == place.inode and entry.stat().st_dev == place.device:
                    return entry.path
    except OSError:
        return None
    return None
