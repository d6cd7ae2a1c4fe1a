"""Events that could not become rows, kept on disk with the reason, so that they can be looked at.

One file for each call of `add`, lines of JSON, readable only by the owner. The same letters of
the same batch, added again when a batch is redone, are kept once. When the store is full the
oldest files go, and their letters are counted as dropped.
"""

from __future__ import annotations

import base64
import hashlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class DeadLetter(msgspec.Struct, frozen=True):
    """An event that could not become a row: why, at which path, its index, its bytes.

    `framing` is named when the bytes are a whole body of events, `destination` when it was that
    alone which refused them.
    """

    reason: str
    path: str
    index: int
    raw: bytes
    source: str = ""
    framing: str = ""
    destination: str = ""


class StoredLetter(msgspec.Struct, frozen=True):
    """A dead letter in the store: its id, when it was added (µs since the epoch), and its batch."""

    id: str
    time: int
    batch_id: str
    letter: DeadLetter


class _Part(msgspec.Struct, frozen=True):
    """A file of the store: ``<number>-<count>-<digest>.jsonl``."""

    number: int
    count: int
    digest: str
    size: int

    @property
    def name(self) -> str:
        return f"{self.number:016d}-{self.count}-{self.digest}.jsonl"


class DeadLetterStore:
    """Dead letters in a folder of at most so many bytes."""

    def __init__(self, folder: Path, max_bytes: int = 1 << 30) -> None:
        self._folder = Path(folder)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._parts = sorted(self._scan(), key=lambda part: part.number)
        self._dropped = self._read_dropped()

    @property
    def count(self) -> int:
        """How many letters are in the store."""
        return sum(part.count for part in self._parts)

    @property
    def dropped(self) -> int:
        """How many letters were dropped since the store was made, because it was full."""
        return self._dropped

    @property
    def bytes_used(self) -> int:
        """The size of all files of the store in bytes."""
        return sum(part.size for part in self._parts)

    def add(self, letters: Iterable[DeadLetter], batch_id: str) -> int:
        """Keep letters durably; return how many were new. Raises OSError if the disk refuses."""
        kept = list(letters)
        if not kept:
            return 0
        now = time.time_ns() // 1000
        body = b"".join(_encode(letter, batch_id, now) for letter in kept)
        digest = _digest(kept, batch_id)
        with self._lock:
            if any(part.digest == digest for part in self._parts):
                return 0
            self._make_room(len(body))
            if len(body) > self._max_bytes:
                self._drop(len(kept))
                return 0
            number = self._parts[-1].number + 1 if self._parts else 1
            part = _Part(number, len(kept), digest, len(body))
            _write(self._folder / part.name, body)
            self._parts.append(part)
        return len(kept)

    def list(self, limit: int = 100) -> Sequence[StoredLetter]:
        """Return up to so many letters, the newest first."""
        found: list[StoredLetter] = []
        with self._lock:
            for part in reversed(self._parts):
                if len(found) >= limit:
                    break
                found.extend(reversed(self._load(part)))
        return found[:limit]

    def read(self, letter_id: str) -> StoredLetter | None:
        """Return the letter of an id; None if there is none, or no longer."""
        with self._lock:
            for part in self._parts:
                if letter_id.startswith(f"{part.number}-"):
                    return next((x for x in self._load(part) if x.id == letter_id), None)
        return None

    def walk(self, reason: str = "") -> Iterator[StoredLetter]:
        """Give all letters whose reason has that text, the oldest first."""
        with self._lock:
            parts = list(self._parts)
        for part in parts:
            with self._lock:
                letters = self._load(part) if part in self._parts else []
            yield from (letter for letter in letters if reason in letter.letter.reason)

    def remove(self, ids: Iterable[str]) -> int:
        """Take letters out of the store; the others keep their ids. Returns how many were there.

        Raises OSError if the disk refuses.
        """
        gone = set(ids)
        removed = 0
        with self._lock:
            for place, part in enumerate(list(self._parts)):
                found = {one.id for one in self._load(part)} & gone if _among(part, gone) else set()
                if found:
                    self._parts[place] = self._without(part, found)
                    removed += len(found)
            self._parts = [part for part in self._parts if part.count]
        return removed

    def _without(self, part: _Part, gone: set[str]) -> _Part:
        path = self._folder / part.name
        lines = path.read_bytes().splitlines()
        kept = [b"" if f"{part.number}-{index}" in gone else x for index, x in enumerate(lines)]
        body = b"".join(line + b"\n" for line in kept)
        left = _Part(part.number, part.count - len(gone), part.digest, len(body))
        if left.count:
            _write(path, body)
            path.rename(self._folder / left.name)
        else:
            path.unlink()
        return left

    def _load(self, part: _Part) -> Sequence[StoredLetter]:
        """Return a part's letters; a line without one is of a letter that was taken out."""
        lines = (self._folder / part.name).read_bytes().splitlines()
        return [_decode(f"{part.number}-{index}", line) for index, line in enumerate(lines) if line]

    def _make_room(self, size: int) -> None:
        while self._parts and self.bytes_used + size > self._max_bytes:
            oldest = self._parts.pop(0)
            (self._folder / oldest.name).unlink(missing_ok=True)
            self._drop(oldest.count)

    def _drop(self, count: int) -> None:
        self._dropped += count
        _write(self._folder / "dropped", str(self._dropped).encode())

    def _read_dropped(self) -> int:
        path = self._folder / "dropped"
        return int(path.read_text()) if path.exists() else 0

    def _scan(self) -> Iterable[_Part]:
        for path in self._folder.glob("*.jsonl"):
            number, count, digest = path.stem.split("-")
            yield _Part(int(number), int(count), digest, path.stat().st_size)


def _among(part: _Part, ids: set[str]) -> bool:
    return any(one.startswith(f"{part.number}-") for one in ids)


class _Line(msgspec.Struct, omit_defaults=True):
    time: int
    batch_id: str
    reason: str
    path: str
    index: int
    source: str
    raw: str
    framing: str = ""
    destination: str = ""


def _encode(letter: DeadLetter, batch_id: str, now: int) -> bytes:
    raw = base64.b64encode(letter.raw).decode()
    line = _Line(
        now,
        batch_id,
        _clean(letter.reason),
        _clean(letter.path),
        letter.index,
        letter.source,
        raw,
        letter.framing,
        letter.destination,
    )
    return msgspec.json.encode(line) + b"\n"


def _clean(text: str) -> str:
    """Return a text that can be written: half surrogates are spelled out."""
    return text.encode("utf-8", errors="backslashreplace").decode()


def _decode(letter_id: str, line: bytes) -> StoredLetter:
    x = msgspec.json.decode(line, type=_Line)
    raw = base64.b64decode(x.raw)
    letter = DeadLetter(x.reason, x.path, x.index, raw, x.source, x.framing, x.destination)
    return StoredLetter(letter_id, x.time, x.batch_id, letter)


def _digest(letters: Sequence[DeadLetter], batch_id: str) -> str:
    digest = hashlib.sha256(batch_id.encode())
    for letter in letters:
        digest.update(b"%d:%d:" % (letter.index, len(letter.raw)))
        digest.update(letter.raw)
    return digest.hexdigest()[:24]


def _write(path: Path, body: bytes) -> None:
    """Write a file durably, readable by its owner only; a reader sees all of it or nothing."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
