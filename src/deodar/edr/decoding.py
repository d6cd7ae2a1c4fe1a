"""Events decoded as far as the server needs: the fields with a column, and those that it completes.

All else in an event is passed over at the speed of the JSON parser, but checked to be JSON. A value
of another type than the vocabulary says counts as absent, as it does for filters; so does an
integer beyond 64 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import pyarrow as pa

from deodar.columnar.dead_letters import DeadLetter
from deodar.columnar.errors import Refused
from deodar.columnar.values import INT64_MAX, INT64_MIN, as_kept, decode_object, is_empty
from deodar.edr.log.schema import HOT
from deodar.events.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ID, AGENT_ID, RECEIVED = "Id", "AgentId", "ReceivedTimestamp"

_NAMES: Final = tuple(dict.fromkeys((*HOT, ID, AGENT_ID)))
_KINDS: Final = {name: VOCABULARY.fields[name].kind for name in _NAMES}
_INT64 = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]
_ARROW: Final = {"string": pa.string(), "integer": pa.int64()}
_TYPES: Final[dict[str, tuple[Any, Any]]] = {
    "string": (str | None, ""),
    "integer": (_INT64 | None, None),
}
_REFUSALS = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)

# Of the time of receipt only counts whether an event claims to know it, be it as null.
_CLAIM: Final = (RECEIVED, _INT64 | None | msgspec.UnsetType, msgspec.UNSET)
_Event: Any = msgspec.defstruct(
    "_Event", [*((name, *_TYPES[_KINDS[name]]) for name in _NAMES), _CLAIM], gc=False
)
_decode: Callable[[bytes], Any] = msgspec.json.Decoder(_Event).decode
_GETTERS: Final = {name: attrgetter(name) for name in _NAMES}


@dataclass(frozen=True)
class Decoded:
    """The events of a packet: their texts, and the fields as Arrow arrays by name.

    `rows` gives the index in the input of each event; `timed` tells whether any of them claims a
    time of receipt.
    """

    rows: Sequence[int]
    lines: Sequence[bytes]
    fields: dict[str, pa.Array]
    dead: list[DeadLetter]
    timed: bool


def decode_lines(lines: Sequence[bytes]) -> Decoded:
    """Return what is an event; what is none, or does not say its type, is a dead letter.

    The lines are UTF-8; a letter's index is that of the line. Nothing is raised.
    """
    dead: dict[int, DeadLetter] = {}
    events: list[Any] = []
    waiting = iter(lines)
    while True:
        try:
            events.extend(map(_decode, waiting))
        except _REFUSALS:
            place = len(events)
            events.append(_tolerated(lines[place], place, dead))
        else:
            break
    rows: Sequence[int] = range(len(lines))
    if not all(event.EventType for event in events):
        rows = [n for n, event in enumerate(events) if _says_type(event, n, lines[n], dead)]
        lines = [lines[n] for n in rows]
        events = [events[n] for n in rows]
    timed = any(event.ReceivedTimestamp is not msgspec.UNSET for event in events)
    return Decoded(rows, lines, _columns(events), [dead[n] for n in sorted(dead)], timed)


def _tolerated(line: bytes, place: int, dead: dict[int, DeadLetter]) -> Any:
    """Return an event in which some value has another type; note a letter if it is no event."""
    try:
        found = decode_object(line)
    except Refused as refused:
        dead[place] = DeadLetter(refused.reason, refused.path, place, line)
        return _Event()
    values = {name: _fitting(found.get(name), kind) for name, kind in _KINDS.items()}
    if RECEIVED in found:
        values[RECEIVED] = None
    if not is_empty(found.get(ID)):
        values[ID] = as_kept(found[ID])  # whatever it is, it is not replaced
    return _Event(**values)


def _fitting(value: Any, kind: str) -> Any:
    if kind == "string":
        return value if type(value) is str else ""
    return value if type(value) is int and INT64_MIN <= value <= INT64_MAX else None


def _says_type(event: Any, place: int, line: bytes, dead: dict[int, DeadLetter]) -> bool:
    if event.EventType:
        return True
    if place not in dead:
        dead[place] = DeadLetter("EventType is missing", "EventType", place, line)
    return False


def _columns(events: Sequence[Any]) -> dict[str, pa.Array]:
    """Return the fields as arrays without nulls in texts; an integer that none has is left out."""
    columns: dict[str, pa.Array] = {}
    for name, get in _GETTERS.items():  # no tuples: thousands of them would wake the collector
        column = pa.array(list(map(get, events)), _ARROW[_KINDS[name]])
        if _KINDS[name] == "string":
            columns[name] = column.fill_null("") if column.null_count else column
        elif column.null_count < len(column):
            columns[name] = column
    return columns
