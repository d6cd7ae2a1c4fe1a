"""A quick way to salvage an envelope in which few events are broken.

`deodar.columnar.envelope.salvage` reads every event once more; this looks only round the places
where the JSON breaks, which the decoder tells, and takes what is whole between them at once. Where
it is not sure it says so, and the slow way, which is the specification, is gone.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.columnar.dead_letters import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_BROKEN = 8
_TRIES = 8
_WINDOW = 262_144
_HEAD = b'{"events":['
_EVENTS = re.compile(rb'"events"\s*:\s*\[')
_BYTE = re.compile(r"\(byte (\d+)\)\Z")
_BETWEEN = re.compile(rb"\}\s*,\s*(?=\{)")
_JSON = json.JSONDecoder()


class _Body(msgspec.Struct):
    events: list[msgspec.Raw]


_BODY = msgspec.json.Decoder(_Body)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])

Salvaged = tuple[list[bytes], list[DeadLetter]]


def shortcut(body: bytes, marker: str) -> Salvaged | None:
    """Return the events that can be read and what is between them; None when it is not sure.

    After a broken piece the next event is the next object that has the marker as a key.
    """
    start = _EVENTS.search(body)
    if start is None or start.start() > _WINDOW:
        return None
    rest = body[start.end() :]
    events: list[bytes] = []
    dead: list[DeadLetter] = []
    for _ in range(MOST_BROKEN):
        try:
            whole = _BODY.decode(_HEAD + rest).events
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            broken = _around(rest, str(error), marker)
        else:
            return events + [bytes(one) for one in whole], dead
        if broken is None:
            return None
        before, piece, reason, end = broken
        events += [bytes(one) for one in before]
        dead.append(DeadLetter(f"invalid JSON: {reason}", "", len(events) + len(dead), piece))
        rest = rest[end:]
    return None


def _around(
    rest: bytes, reason: str, marker: str
) -> tuple[Sequence[msgspec.Raw], bytes, str, int] | None:
    """Return the events before the broken one, its bytes, why, and where the next one begins."""
    told = _BYTE.search(reason)
    if told is None:
        return None
    place = int(told[1]) - len(_HEAD)
    found = _before(rest, place)
    if found is None:
        return None
    events, begin = found
    if _object(rest, begin) is not None:
        return None  # it is whole: what is broken stands behind it
    end = _next(rest, begin, marker)
    if end is None or end <= place:
        return None
    return events, rest[begin:end].rstrip(b", \t\r\n"), reason, end


def _before(rest: bytes, place: int) -> tuple[Sequence[msgspec.Raw], int] | None:
    """Return the whole events before a place, and where the one at the place begins."""
    ends = place
    for _ in range(_TRIES):
        ends = rest.rfind(b"}", 0, ends)
        between = _BETWEEN.match(rest, ends) if ends >= 0 else None
        if ends < 0:
            return ([], 0) if rest[:1] == b"{" else None
        if between is None:
            continue
        try:
            return _LIST.decode(b"[" + rest[: ends + 1] + b"]"), between.end()
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
    return None


def _next(rest: bytes, begin: int, marker: str) -> int | None:
    """Return where the next object with the marker begins; None when none is near."""
    for between in _BETWEEN.finditer(rest, begin, begin + _WINDOW):
        value = _object(rest, between.end())
        if value is not None and marker in value:
            return between.end()
    return None


def _object(rest: bytes, begin: int) -> dict[str, Any] | None:
    """Return the object that begins at a place, None when there is none that can be read."""
    window = rest[begin : begin + _WINDOW].decode("utf-8", "surrogateescape")
    try:
        value, _ = _JSON.raw_decode(window)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
