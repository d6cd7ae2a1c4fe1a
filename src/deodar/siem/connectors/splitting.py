"""A stream of bytes to messages: by a delimiter, or by counted octets (RFC 6587, 3.4).

No I/O here. However the stream is cut into pieces, the messages are the same. A message beyond the
limit is cut there; its beginning is told apart, and the rest of it passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

Division = Literal["auto", "delimiter", "octets"]

_COUNT = re.compile(rb"([1-9][0-9]{0,8}) ")
_COUNT_BEGUN = re.compile(rb"[1-9][0-9]{0,8} ?\Z")
_LONGEST_COUNT = 10


class NotCounted(ValueError):  # noqa: N818
    """There is no octet count where one must be: the stream cannot be followed any further."""


@dataclass
class Pieces:
    """What a piece of a stream completed: messages, and the beginnings of those too long."""

    messages: list[bytes] = field(default_factory=list)
    too_long: list[bytes] = field(default_factory=list)


class Splitter:
    """Follows one stream.

    With ``auto`` each message says itself how it is divided: digits, a blank and ``<`` are an
    octet count of a syslog message, anything else ends at the delimiter.
    """

    def __init__(self, division: Division, delimiter: bytes, longest: int) -> None:
        self._division = division
        self._delimiter = delimiter
        self._longest = longest
        self._buffer = bytearray()
        self._passing = 0  # octets of a counted message that is too long, still to come
        self._passing_line = False

    @property
    def waiting(self) -> int:
        """Bytes of a message that is not complete."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Pieces:
        """Return what the next piece of the stream completes.

        Raises NotCounted; messages before that are lost to the caller no more than the rest is, so
        they are in its `args`.
        """
        self._buffer += data
        pieces = Pieces()
        start = 0
        try:
            while (end := self._next(start, pieces)) is not None:
                start = end
        finally:
            del self._buffer[:start]
        return pieces

    def end(self) -> bytes:
        """Return what came of a message whose end did not come; b"" if nothing did."""
        rest = b"" if self._passing or self._passing_line else bytes(self._buffer)
        self._buffer.clear()
        self._passing, self._passing_line = 0, False
        counted = _COUNT.match(rest) if self._division != "delimiter" else None
        if counted and (self._division == "octets" or rest[counted.end() :][:1] == b"<"):
            return rest[counted.end() :]
        return rest

    def _next(self, start: int, pieces: Pieces) -> int | None:
        """Take a message from `start` on; return where it ends, None when it is not complete."""
        if start >= len(self._buffer):
            return None
        if self._passing:
            passed = min(self._passing, len(self._buffer) - start)
            self._passing -= passed
            return start + passed
        if self._passing_line or self._division == "delimiter":
            return self._line(start, pieces)
        head = bytes(self._buffer[start : start + _LONGEST_COUNT + 1])
        found = _COUNT.match(head)
        if self._division == "octets":
            return self._strictly_counted(start, head, found, pieces)
        undecided = len(head) == found.end() if found else bool(_COUNT_BEGUN.match(head))
        if undecided and len(head) <= _LONGEST_COUNT:
            return None  # the next byte decides
        if found and head[found.end() : found.end() + 1] == b"<":
            return self._counted(start + found.end(), int(found[1]), pieces)
        return self._line(start, pieces)

    def _strictly_counted(
        self, start: int, head: bytes, found: re.Match[bytes] | None, pieces: Pieces
    ) -> int | None:
        if found:
            return self._counted(start + found.end(), int(found[1]), pieces)
        if head[:1] in (b"\n", b"\r"):  # some senders end counted messages with a line feed too
            return start + 1
        if _COUNT_BEGUN.match(head) and len(head) < _LONGEST_COUNT:
            return None
        raise NotCounted(f"no octet count, but {head[:20]!r}", pieces)

    def _counted(self, start: int, count: int, pieces: Pieces) -> int | None:
        if count > self._longest:
            here = len(self._buffer) - start
            if here < min(count, self._longest):
                return None
            pieces.too_long.append(bytes(self._buffer[start : start + self._longest]))
            self._passing = count - min(count, here)
            return start + min(count, here)
        if len(self._buffer) - start < count:
            return None
        self._take(bytes(self._buffer[start : start + count]), pieces)
        return start + count

    def _line(self, start: int, pieces: Pieces) -> int | None:
        end = self._buffer.find(self._delimiter, start)
        if self._passing_line:
            self._passing_line = end < 0
            if end >= 0:
                return end + len(self._delimiter)
            # The delimiter itself may be cut in two.
            return (
                max(start, len(self._buffer) - len(self._delimiter) + 1)
                if (len(self._buffer) - start >= len(self._delimiter))
                else None
            )
        if end >= 0 and end - start <= self._longest:
            self._take(bytes(self._buffer[start:end]), pieces)
            return end + len(self._delimiter)
        if end >= 0:
            pieces.too_long.append(bytes(self._buffer[start : start + self._longest]))
            return end + len(self._delimiter)
        if len(self._buffer) - start > self._longest + len(self._delimiter):
            pieces.too_long.append(bytes(self._buffer[start : start + self._longest]))
            self._passing_line = True
            return start + self._longest
        return None

    def _take(self, message: bytes, pieces: Pieces) -> None:
        if self._delimiter == b"\n":
            message = message.rstrip(b"\r\n")
        if message:
            pieces.messages.append(message)
