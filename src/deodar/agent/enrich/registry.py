"""Which function makes the event of each kind of record, and of which type that event is.

The type is known before the event is made: what is throttled or left out costs nothing more. A new
kind is entered by `converts` in a module of `deodar.agent.enrich.converters`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import orjson

from deodar.agent.enrich.fragments import text_of
from deodar.agent.sensors.base import Exec, Exit, Fork
from deodar.events import importance

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.enrich.fragments import Fragment
    from deodar.agent.sensors.base import Record
    from deodar.events.importance import Importance

Event = dict[str, Any]
R = TypeVar("R")


class Told(NamedTuple):
    """What a converter makes of a record: fields of its own, and what goes before them."""

    own: Event
    """Fields that are None or "" are left out of the event."""
    fragments: tuple[Fragment, ...] = ()
    """What is known of the processes, ready to be used."""


class Line(NamedTuple):
    """An event as it is stored and sent."""

    text: bytes
    """One object of JSON."""
    event_type: str
    time_us: int
    told: Told


Converter = Callable[["Context", R], "Event | Told"]

TYPES: dict[type[Any], str] = {}
"""The type of the event that is made of each kind of record."""

LEVELS: dict[type[Any], Importance] = {}
"""How important that event is."""

CONVERTERS: dict[type[Any], Converter[Any]] = {}


def converts(kind: type[R], event_type: str) -> Callable[[Converter[R]], Converter[R]]:
    """Enter a function as the one that makes events of `event_type` of records of `kind`.

    It returns the event's fields, or a `Told` when most of them are ready-made.
    """

    def enter(function: Converter[R]) -> Converter[R]:
        TYPES[kind] = event_type
        LEVELS[kind] = importance.of(event_type)
        CONVERTERS[kind] = function
        return function

    return enter


def line_of(context: Context, record: Record) -> Line:
    """Return the event that tells of a record. Raises KeyError for a kind that is not known."""
    kind = type(record)
    event_type, time_us = TYPES[kind], record.time_ns // 1000
    made = CONVERTERS[kind](context, record)
    told = made if isinstance(made, Told) else Told(made)
    own = text_of(told.own) if told.own else b""
    text = b'{%b,"Id":"%b","Timestamp":%d,"EventType":"%b"%b%b}' % (
        context.common_text(),
        next(context.event_ids).encode(),
        time_us,
        event_type.encode(),
        b"".join([one.text for one in told.fragments]),
        own,
    )
    return Line(text, event_type, time_us, told)


def event_of(context: Context, record: Record) -> Event:
    """Return the event that tells of a record as an object; the agent itself needs it as text."""
    event: Event = orjson.loads(line_of(context, record).text)
    return event


def follow(context: Context, record: Record) -> None:
    """Keep the table of processes right for a record of which no event shall be made."""
    if isinstance(record, Exec):
        context.started(record, look_up=False)
    elif isinstance(record, Fork):
        context.forked(record)
    elif isinstance(record, Exit):
        context.ended(record)
