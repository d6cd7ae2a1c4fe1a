"""Arguments of a process as one line of text that can be taken apart again.

The quoting is that of a POSIX shell, with ``$'…'`` for control characters and for bytes that are
not UTF-8: the line can be pasted into bash, and `split` gives back the very arguments.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAIN = re.compile(rb"[A-Za-z0-9_@%+=:,./^-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_ESCAPED = re.compile(rb"\\(x[0-9a-f]{2}|[\\'])")
_WORD = re.compile(rb"\$'((?:[^'\\]|\\.)*)'|'([^']*)'|([^ '$\\]+)|\\(.)|(\$)", re.DOTALL)


def join(argv: Sequence[bytes]) -> str:
    """Return the arguments as one line."""
    return " ".join(map(quote, argv))


def quote(argument: bytes) -> str:
    """Return one argument, quoted if it has to be."""
    if _PLAIN.fullmatch(argument):
        return argument.decode("ascii")
    text = argument.decode("utf-8", "surrogateescape")
    if _CONTROL.search(text) is None:
        return "'" + text.replace("'", "'\\''") + "'"
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + _CONTROL.sub(_escape, escaped) + "'"


def split(line: str) -> list[bytes]:
    """Return the arguments of a line that `join` made; other text as well as it goes."""
    arguments: list[bytes] = []
    rest = line.encode("utf-8", "surrogateescape")
    while rest:
        argument, rest = _first(rest)
        arguments.append(argument)
    return arguments


def _first(rest: bytes) -> tuple[bytes, bytes]:
    parts: list[bytes] = []
    position = 0
    while (found := _WORD.match(rest, position)) is not None:
        ansi, single, bare, escaped, dollar = found.groups()
        plain = single or bare or escaped or dollar or b""
        parts.append(_unescape(ansi) if ansi is not None else plain)
        position = found.end()
    if position == 0 and rest[:1] != b" ":  # an open quote: taken as it stands
        return rest, b""
    return b"".join(parts), rest[position + 1 :] if position < len(rest) else b""


def _escape(found: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "surrogateescape"))


def _unescape(text: bytes) -> bytes:
    return _ESCAPED.sub(lambda found: _byte(found[1]), text)


def _byte(escape: bytes) -> bytes:
    return escape if escape in (b"\\", b"'") else bytes([int(escape[1:], 16)])
