"""Responses of the events API, taken apart into events without decoding them.

The envelope is ``{"events": [...], "continuationToken": "..."}`` (KATA events API). Bytes
that are no UTF-8 inside an event do not break the envelope; what breaks its JSON, half a surrogate
pair included, needs `salvage`.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from deodar.columnar.dead_letters import DeadLetter
from deodar.columnar.errors import EnvelopeError
from deodar.columnar.shortcut import shortcut


class Envelope(msgspec.Struct, frozen=True):
    """The events of a response, as undecoded JSON, and the token for the next request."""

    events: list[msgspec.Raw]
    token: str | None


class _Body(msgspec.Struct):
    events: list[msgspec.Raw] | None = None
    token: str | None = msgspec.field(default=None, name="continuationToken")


_BODY = msgspec.json.Decoder(_Body)
_PLACE = re.compile(r"(.*?)(?: - at `\$(.*)`| \(byte (\d+)\))\Z", re.DOTALL)
_EVENTS = re.compile(r'"events"\s*:\s*\[')
_NEXT = re.compile(r"\}\s*,\s*(?=\{)")


def split(body: bytes) -> Envelope:
    """Return the events of a response and its token; no events if they are null or missing.

    Raises EnvelopeError, which names the place, if the body is not an envelope.
    """
    try:
        decoded = _BODY.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _envelope_error(str(error)) from error
    return Envelope(decoded.events or [], decoded.token)


def _envelope_error(text: str) -> EnvelopeError:
    match = _PLACE.match(text)
    if match is None:
        return EnvelopeError("the body", text)
    reason, path, byte = match.groups()
    return EnvelopeError(path.lstrip(".") if path else f"byte {byte}", reason)


def salvage(body: bytes, marker: str = "EventType") -> tuple[list[bytes], list[DeadLetter]]:
    """Return the events that can be read from a broken envelope, and what is between them.

    What is left over becomes dead letters, whose index counts the pieces. After a broken piece
    the next event is the next object that has the marker as a key. A body without a list of
    events is one letter.
    """
    return shortcut(body, marker) or salvage_slowly(body, marker)


def salvage_slowly(body: bytes, marker: str = "EventType") -> tuple[list[bytes], list[DeadLetter]]:
    """Return what `salvage` returns, by reading event after event."""
    text = body.decode("utf-8", errors="surrogateescape")
    start = _EVENTS.search(text)
    if start is None:
        return [], [DeadLetter("no list of events in the body", "", 0, body)]
    return _Salvage(text, marker).run(start.end())


class _Salvage:
    def __init__(self, text: str, marker: str) -> None:
        self._text = text
        self._marker = marker
        self._decoder = json.JSONDecoder()
        self._events: list[bytes] = []
        self._dead: list[DeadLetter] = []

    def run(self, position: int) -> tuple[list[bytes], list[DeadLetter]]:
        text = self._text
        while True:
            while position < len(text) and text[position] in ", \t\r\n":
                position += 1
            if position >= len(text) or text[position] == "]":
                return self._events, self._dead
            position = self._piece(position)

    def _piece(self, begin: int) -> int:
        """Take one event, or all up to the next one that can be read; return where it ends."""
        try:
            _, end = self._decoder.raw_decode(self._text, begin)
        except (ValueError, RecursionError) as error:
            end = self._resume(begin)
            reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
            count = len(self._events) + len(self._dead)
            piece = self._bytes(begin, end)
            self._dead.append(DeadLetter(f"invalid JSON: {reason}", "", count, piece))
        else:
            self._events.append(self._bytes(begin, end))
        return end

    def _resume(self, begin: int) -> int:
        for match in _NEXT.finditer(self._text, begin):
            if self._is_event(match.end()):
                return match.end()
        return len(self._text)

    def _is_event(self, begin: int) -> bool:
        try:
            value: Any = self._decoder.raw_decode(self._text, begin)[0]
        except (ValueError, RecursionError):
            return False
        return isinstance(value, dict) and self._marker in value

    def _bytes(self, begin: int, end: int) -> bytes:
        return self._text[begin:end].encode("utf-8", errors="surrogateescape").rstrip(b", \t\r\n")
