"""Continuation tokens: where an external system stands in the event log.

A token is opaque to its holder: printable, one line, of one length, and signed with a key that
only this server (or its cluster) has. It says which log it belongs to, whose it is, which filter
goes with it, the last sequence number that was *scanned* (so that a filter which matches nothing
advances too), and when it was issued.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deodar.edr.errors import TokenError

if TYPE_CHECKING:
    from collections.abc import Callable

_VERSION = 1
_BODY = struct.Struct(">B16s16s16sQQ")
_MAC_BYTES = 16
_TOKEN_BYTES = _BODY.size + _MAC_BYTES
TOKEN_LENGTH = (_TOKEN_BYTES * 4 + 2) // 3
NO_FILTER = bytes(16)
KEY_BYTES = 32


@dataclass(frozen=True)
class Token:
    """What a continuation token stands for."""

    epoch: bytes
    """16 bytes: which log."""
    filter: bytes
    """16 bytes: digest of the filter's text, `NO_FILTER` for none."""
    seq: int
    """The last sequence number that was scanned."""
    issued_us: int
    """When it was issued, µs since the epoch."""


def filter_digest(text: str) -> bytes:
    """Return the 16 bytes that stand for a filter in a token; `NO_FILTER` for an empty text."""
    return hashlib.sha256(text.encode()).digest()[:16] if text else NO_FILTER


def seal(key: bytes, system: str, token: Token) -> str:
    """Return the token's text for the external system with the id `system`."""
    body = _BODY.pack(
        _VERSION, token.epoch, _holder(system), token.filter, token.seq, token.issued_us
    )
    return base64.urlsafe_b64encode(body + _mac(key, body)).rstrip(b"=").decode()


def unseal(
    key: bytes, system: str, text: str, is_ours: Callable[[bytes], bool] | None = None
) -> Token:
    """Return what a token's text stands for.

    Raises TokenError when it was changed, comes from another server, or is another system's. With
    `is_ours`, which knows the epochs of this server's log, the error tells the first two apart.
    """
    body = _verified(key, text, is_ours)
    version, epoch, holder, filter_, seq, issued_us = _BODY.unpack(body)
    if version != _VERSION:
        raise TokenError(f"its version {version} is not known")
    if not hmac.compare_digest(holder, _holder(system)):
        raise TokenError("it was issued to another external system")
    return Token(epoch=epoch, filter=filter_, seq=seq, issued_us=issued_us)


def _verified(key: bytes, text: str, is_ours: Callable[[bytes], bool] | None) -> bytes:
    if len(text) != TOKEN_LENGTH:
        raise TokenError(f"it has {len(text)} characters instead of {TOKEN_LENGTH}")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise TokenError("it is not base64url text") from error
    body, mac = data[: _BODY.size], data[_BODY.size :]
    if not hmac.compare_digest(mac, _mac(key, body)):
        raise TokenError(f"its signature is wrong: {_whose(body, is_ours)}")
    return body


def _whose(body: bytes, is_ours: Callable[[bytes], bool] | None) -> str:
    if is_ours is None:
        return "it was changed, or issued by another server"
    return "it was changed" if is_ours(_BODY.unpack(body)[1]) else "it was issued by another server"


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, b"deodar continuation token\0" + body, "sha256")[:_MAC_BYTES]


def _holder(system: str) -> bytes:
    return hashlib.sha256(system.encode()).digest()[:16]
