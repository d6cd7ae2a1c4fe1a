"""How much work an encrypted key or container asks of whoever opens it, told before it is opened.

The count of rounds of the key derivation stands in the file itself (RFC 7292 and RFC 8018), and the
largest that fits would keep a processor busy for hours. Wherever one may stand, in a sequence right
behind a salt, it is looked at; what is not DER is left to the parser, which refuses it.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 5_000_000
"""Some seconds of work; what programs write today is up to a million."""
_SEQUENCE, _INTEGER, _OCTETS, _CONSTRUCTED = 0x30, 0x02, 0x04, 0x20
_INDEFINITE = 0x80
_MOST_PARTS = 100_000
_BLOCK = re.compile(
    rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----\s(.*?)-----END [A-Z0-9 ]*PRIVATE KEY-----", re.DOTALL
)


class _Part(NamedTuple):
    """A value in DER: its kind, and where its content begins and ends."""

    kind: int
    begin: int
    end: int


def of_der(data: bytes) -> int:
    """Return the most rounds that a container or a key in DER asks for; 0 if it asks for none."""
    most, seen = 0, 0
    waiting = [_Part(_SEQUENCE, 0, len(data))]
    while waiting and seen < _MOST_PARTS:
        whole = waiting.pop()
        before = 0
        for part in _parts(data, whole.begin, whole.end):
            seen += 1
            if part.kind == _INTEGER and before == _OCTETS:
                most = max(most, int.from_bytes(data[part.begin : part.end][:16], "big"))
            if part.kind & _CONSTRUCTED or part.kind == _OCTETS:
                waiting.append(part)
            before = part.kind
    return most


def of_pem(data: bytes) -> int:
    """Return the same of the private keys in a PEM text."""
    return max((of_der(_decoded(found)) for found in _BLOCK.findall(data)), default=0)


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()))
    except (binascii.Error, ValueError):
        return b""  # with headers, as outdated keys have them: those know no rounds


def _parts(data: bytes, begin: int, end: int) -> Iterator[_Part]:
    """Yield the values that stand one after another, up to the first that is none."""
    at = begin
    while at + 2 <= end:
        kind, length = data[at], data[at + 1]
        at += 2
        if length == _INDEFINITE:
            yield _Part(kind, at, end)
            return
        if length > _INDEFINITE:
            size = length - _INDEFINITE
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if length > end - at:
            return
        yield _Part(kind, at, at + length)
        at += length
