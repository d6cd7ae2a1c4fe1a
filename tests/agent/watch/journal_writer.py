"""Writes journal files as systemd's journal does, as far as a reader cares: no hash tables."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEAD = 264


class Writer:
    """A journal file that grows."""

    def __init__(self, path: Path, *, compact: bool) -> None:
        self.path, self.compact = path, compact
        self._entries, self._tail, self._content = 0, HEAD, b""
        self._add(2, bytes(8))  # an object that is neither data nor entry
        self._write()

    def entry(self, time_us: int, *, finish: bool = True, **fields: str) -> None:
        """Append one entry; without `finish` as it is while the journal is still writing it."""
        places = [self._add(1, self._data(f"{k}={v}".encode())) for k, v in fields.items()]
        form = "<I" if self.compact else "<QQ"
        items = b"".join(struct.pack(form, *((at,) if self.compact else (at, 7))) for at in places)
        self._add(3, struct.pack("<QQQ16sQ", 1, time_us, 5, bytes(16), 9) + items)
        self._entries += finish
        self._write()

    def finish(self) -> None:
        self._entries += 1
        self._write()

    def compressed(self, time_us: int, text: str) -> None:
        """Append an entry whose only field is compressed."""
        at = self._add(1, self._data(text.encode()), flags=4)
        items = struct.pack("<I", at) if self.compact else struct.pack("<QQ", at, 7)
        self._add(3, struct.pack("<QQQ16sQ", 1, time_us, 5, bytes(16), 9) + items)
        self._entries += 1
        self._write()

    def _data(self, payload: bytes) -> bytes:
        return bytes(56 if self.compact else 48) + payload

    def _add(self, kind: int, body: bytes, flags: int = 0) -> int:
        self._content += bytes(-len(self._content) % 8)
        self._tail = HEAD + len(self._content)
        self._content += struct.pack("<BB6xQ", kind, flags, 16 + len(body)) + body
        return self._tail

    def _write(self) -> None:
        head = bytearray(HEAD)
        struct.pack_into("<8sII", head, 0, b"LPKSHHRH", 0, 16 if self.compact else 0)
        struct.pack_into("<QQ", head, 88, HEAD, 8 << 20)
        struct.pack_into("<QQQ", head, 136, self._tail, 0, self._entries)
        with self.path.open("r+b" if self.path.exists() else "w+b") as file:
            file.write(head + self._content)
