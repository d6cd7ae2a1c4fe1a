"""Which function makes the event of each kind of record, and of which type that event is.

The type is known before the event is made: what is throttled or left out costs nothing more. A new
kind is entered by `converts` in a module of `deodar.agent.enrich.converters`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from deodar.agent.sensors.base import Exec, Exit, Fork

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.enrich.context import Context
    from deodar.agent.sensors.base import Record

Event = dict[str, Any]
R = TypeVar("R")

TYPES: dict[type[Any], str] = {}
"""The type of the event that is made of each kind of record."""

CONVERTERS: dict[type[Any], Callable[[Context, Any], Event]] = {}


def converts(
    kind: type[R], event_type: str
) -> Callable[[Callable[[Context, R], Event]], Callable[[Context, R], Event]]:
    """Enter a function as the one that makes events of `event_type` of records of `kind`."""

    def enter(function: Callable[[Context, R], Event]) -> Callable[[Context, R], Event]:
        TYPES[kind] = event_type
        CONVERTERS[kind] = function
        return function

    return enter


def event_of(context: Context, record: Record) -> Event:
    """Return the event that tells of a record; fields that are None or "" are left out.

    Raises KeyError for a kind that is not known.
    """
    kind = type(record)
    event = context.common()
    event["Id"] = next(context.event_ids)
    event["Timestamp"] = record.time_ns // 1000
    event["EventType"] = TYPES[kind]
    for name, value in CONVERTERS[kind](context, record).items():
        if value is not None and value != "":
            event[name] = value
    return event


def follow(context: Context, record: Record) -> None:
    """Keep the table of processes right for a record of which no event shall be made."""
    if isinstance(record, Exec):
        context.started(record, look_up=False)
    elif isinstance(record, Fork):
        context.forked(record)
    elif isinstance(record, Exit):
        context.ended(record)
