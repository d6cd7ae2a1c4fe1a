"""From keys to lines: what a line looks like when Enter is pressed.

A program that edits lines by itself (a shell with readline) reads key after key; this follows the
usual keys of it: deleting, moving, pasting. What the program puts in by itself, from its history or
by completion, no key tells, and so it is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

LINE_BYTES = 4096
_SEQUENCE_BYTES = 32
_ESCAPE, _DELETE, _BELL = 0x1B, 0x7F, 0x07
_FINALS = range(0x40, 0x7F)
_ENTER = b"\r\n"


class Line(NamedTuple):
    """A line that was entered."""

    text: bytes
    truncated: bool


class LineEditor:
    """Follows the keys of one process at one terminal; holds `LINE_BYTES` at most."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._cursor = 0
        self._truncated = False
        self._sequence = bytearray()
        """An escape sequence that has begun."""
        self._is_pasting = self._is_quoting = False
        self._done: list[Line] = []

    @property
    def has_text(self) -> bool:
        """Whether a line has begun."""
        return bool(self._text)

    def feed(self, data: bytes, *, cooked: bool = False) -> list[Line]:
        """Return the lines that are complete with `data`; `cooked` when it has been edited."""
        if cooked:
            self._feed_cooked(data)
        else:
            for byte in data:
                self._key(byte)
        done, self._done = self._done, []
        return done

    def flush(self) -> list[Line]:
        """Return the line that has begun, if any, as if it were complete."""
        self._enter()
        done, self._done = self._done, []
        return done

    def _feed_cooked(self, data: bytes) -> None:
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._insert(line)
            self._enter()
        self._insert(rest)

    def _key(self, byte: int) -> None:
        if self._is_quoting:
            self._is_quoting = False
            self._insert(bytes((byte,)))
        elif self._sequence:
            self._sequence.append(byte)
            self._follow_sequence()
        elif byte == _ESCAPE:
            self._sequence.append(byte)
        elif byte in self._KEYS and not (self._is_pasting and byte in _ENTER):
            self._KEYS[byte](self)
        elif byte in _ENTER:
            self._insert(b"\n")
        elif byte >= 0x20 or byte == 0x09:
            self._insert(bytes((byte,)))

    def _follow_sequence(self) -> None:
        sequence = self._sequence
        kind, last = sequence[1], sequence[-1]
        if kind == _ESCAPE:  # the one before was a key of its own
            del sequence[0]
            return
        if kind in b"]P":  # a terminal's answer: up to BEL or ESC \
            is_over = last == _BELL or sequence[-2:] == b"\x1b\\"
        elif kind == ord("["):
            is_over = len(sequence) > 2 and last in _FINALS
        else:
            is_over = len(sequence) == (3 if kind == ord("O") else 2)
        if is_over:
            action = self._SEQUENCES.get(bytes(sequence[1:]))
            sequence.clear()
            if action is not None:
                action(self)
        elif len(sequence) > (LINE_BYTES if kind in b"]P" else _SEQUENCE_BYTES):
            sequence.clear()

    def _insert(self, data: bytes) -> None:
        room = LINE_BYTES - len(self._text)
        if len(data) > room:
            self._truncated = True
            data = data[:room]
        self._text[self._cursor : self._cursor] = data
        self._cursor += len(data)

    def _enter(self) -> None:
        if self._text.strip():
            self._done.append(Line(bytes(self._text), self._truncated))
        self._give_up()

    def _give_up(self) -> None:
        self._text.clear()
        self._cursor = 0
        self._truncated = False

    def _left(self) -> None:
        if self._cursor:
            self._cursor -= 1
            while self._cursor and self._text[self._cursor] & 0xC0 == 0x80:
                self._cursor -= 1

    def _right(self) -> None:
        if self._cursor < len(self._text):
            self._cursor += 1
            while self._cursor < len(self._text) and self._text[self._cursor] & 0xC0 == 0x80:
                self._cursor += 1

    def _home(self) -> None:
        self._cursor = 0

    def _end(self) -> None:
        self._cursor = len(self._text)

    def _backspace(self) -> None:
        end = self._cursor
        self._left()
        del self._text[self._cursor : end]

    def _delete(self) -> None:
        begin = self._cursor
        self._right()
        del self._text[begin : self._cursor]
        self._cursor = begin

    def _delete_before(self) -> None:
        del self._text[: self._cursor]
        self._cursor = 0

    def _delete_after(self) -> None:
        del self._text[self._cursor :]

    def _delete_word(self) -> None:
        before = bytes(self._text[: self._cursor]).rstrip()
        begin = before.rfind(b" ") + 1
        del self._text[begin : self._cursor]
        self._cursor = begin

    def _quote(self) -> None:
        self._is_quoting = True

    def _begin_paste(self) -> None:
        self._is_pasting = True

    def _end_paste(self) -> None:
        self._is_pasting = False

    _KEYS: ClassVar[dict[int, Callable[[LineEditor], None]]] = {
        0x0D: _enter,
        0x0A: _enter,
        _DELETE: _backspace,
        0x08: _backspace,
        0x01: _home,
        0x02: _left,
        0x03: _give_up,
        0x04: _delete,
        0x05: _end,
        0x06: _right,
        0x0B: _delete_after,
        0x15: _delete_before,
        0x16: _quote,
        0x17: _delete_word,
        0x1C: _give_up,
    }
    """Single keys, by their codes: those of Ctrl and a letter are its place in the alphabet."""
    _SEQUENCES: ClassVar[dict[bytes, Callable[[LineEditor], None]]] = {
        b"[C": _right,
        b"OC": _right,
        b"[D": _left,
        b"OD": _left,
        b"[H": _home,
        b"OH": _home,
        b"[F": _end,
        b"OF": _end,
        b"[1~": _home,
        b"[3~": _delete,
        b"[4~": _end,
        b"[7~": _home,
        b"[8~": _end,
        b"[200~": _begin_paste,
        b"[201~": _end_paste,
        b"\x7f": _delete_word,
    }
    """What follows Escape."""
