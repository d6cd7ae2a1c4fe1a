"""A BPF ring buffer, mapped and drained in Python.

Layout as in the kernel's Documentation/bpf/ringbuf.rst: a page with the consumer's position, a page
with the producer's, then the data. A record is a word (its length; bit 31: being written, bit 30:
given up), four unused bytes, and the data. The kernel would map the data twice in a row, so that no
record wraps; but all that is mapped counts as memory in use at once, and few records do wrap.
"""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY = 1 << 31
DISCARDED = 1 << 30
HEADER = 8
PAGE = mmap.PAGESIZE
_WORD = struct.Struct("<I")
Buffer = mmap.mmap | bytes | bytearray


class Ring:
    """The consumer's side of one ring; plain loads and stores, so for x86-64 alone.

    A CPU with weaker ordering would need barriers, which Python cannot give.
    """

    def __init__(self, consumer: memoryview, producer: memoryview, data: Buffer, size: int) -> None:
        self._consumer = consumer  # u64 in its first element, ours to write
        self._producer = producer
        self._data = data
        self._end = len(data)
        self._base = self._end - size
        self._mask = size - 1

    @classmethod
    def map(cls, descriptor: int, size: int) -> Ring:
        """Map a ring map of `size` bytes; raises OSError."""
        own = mmap.mmap(descriptor, PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        kernel = mmap.mmap(descriptor, PAGE + size, mmap.MAP_SHARED, mmap.PROT_READ, offset=PAGE)
        return cls(memoryview(own).cast("Q"), memoryview(kernel).cast("Q"), kernel, size)

    def waiting(self) -> bool:
        """Whether anything was written that has not been taken."""
        return bool(self._consumer[0] != self._producer[0])

    @property
    def written(self) -> int:
        """The position up to which records were reserved."""
        return self._producer[0]

    def drain(
        self, take: Callable[[Buffer, int, int], None], limit: int, end: int | None = None
    ) -> int:
        """Hand up to `limit` records to `take` as (buffer, offset, length); returns how many.

        `end` is the position (`written`) before which to stop. The space is given back when all
        are taken, so `take` must copy what it keeps.
        """
        position, end = self._consumer[0], self._producer[0] if end is None else end
        taken = 0
        try:
            while position < end and taken < limit:
                at = self._base + (position & self._mask)
                (word,) = _WORD.unpack_from(self._data, at)
                if word & BUSY:
                    break
                length = word & ~DISCARDED
                position += (length + HEADER + 7) & ~7
                if not word & DISCARDED:
                    taken += 1
                    if at + HEADER + length <= self._end:
                        take(self._data, at + HEADER, length)
                    else:
                        take(self._joined(at + HEADER, length), 0, length)
        finally:
            self._consumer[0] = position
        return taken

    def _joined(self, at: int, length: int) -> bytes:
        """Return a record that goes on at the ring's beginning."""
        rest = length - (self._end - at)
        return bytes(self._data[at : self._end] + self._data[self._base : self._base + rest])

    def close(self) -> None:
        """Unmap."""
        self._consumer.release()
        self._producer.release()
        if isinstance(self._data, mmap.mmap):
            self._data.close()
