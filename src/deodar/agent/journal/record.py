"""One of the agent's own events, and how it is shown.

The keys and the form of ``Key=Value`` lines are those of KESL's events. Text from outside can hold
anything: bytes that are no UTF-8 become ``?``, one for each byte, as KESL prints them.
"""

from __future__ import annotations

import re
import time
from typing import Any, Literal

import msgspec

from deodar.agent.journal.event_types import EventType

__all__ = ["FIELDS", "EventType", "Field", "Record", "as_dict", "from_dict", "to_lines"]

LEVELS = ("Info", "Warning", "Critical")
"""What DangerLevel can be, from the least to the worst."""
INITIATORS = ("Product", "User", "Policy")
"""What Initiator can be."""

REPEATS = ("RepeatCount", "RepeatLastDate")
"""Details of an event that came several times."""

MAXIMUM_DETAILS = 32
MAXIMUM_NAME = 64
MAXIMUM_TEXT = 4096
"""Characters of one detail; more are cut off, and an ellipsis put there."""

_INVALID = re.compile("[\0\ud800-\udfff]")
_NO_NAME = re.compile("[^A-Za-z0-9_]")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it is stored."""

    event_id: int
    """Rises by one with each event; never given twice in one file."""
    event_type: str
    date: float
    """Seconds since 1970-01-01 00:00 UTC, by the host's clock."""
    danger_level: str = "Info"
    initiator: str = "Product"
    task_id: int = 0
    """0 for an event that is about no task."""
    task_name: str = ""
    task_type: str = ""
    runtime_task_id: int = 0
    details: dict[str, str] = msgspec.field(default_factory=dict)


class Field(msgspec.Struct, frozen=True):
    """What every record has: its name for people, its attribute and column, its kind."""

    name: str
    attribute: str
    kind: Literal["text", "number", "date"]
    meaning: str


FIELDS = (
    Field("EventType", "event_type", "text", "one of the types below"),
    Field("EventId", "event_id", "number", "rises by one with each event"),
    Field("Initiator", "initiator", "text", "`Product`, `User` or `Policy`: who caused it"),
    Field("Date", "date", "date", "when it happened, by the host's clock"),
    Field("DangerLevel", "danger_level", "text", "`Info`, `Warning` or `Critical`"),
    Field("TaskName", "task_name", "text", "the task that it is about; empty if none"),
    Field("RuntimeTaskId", "runtime_task_id", "number", "the run of the task; 0 if not known"),
    Field("TaskId", "task_id", "number", "the number of the task; 0 if none"),
    Field("TaskType", "task_type", "text", "the type of the task"),
)
_OF_TASKS = ("TaskName", "RuntimeTaskId", "TaskId", "TaskType")
_RESERVED = {field.name.lower() for field in FIELDS}


def as_dict(record: Record) -> dict[str, Any]:
    """Return the record by its names for people, details last; Date is seconds since 1970."""
    return {field.name: getattr(record, field.attribute) for field in FIELDS} | record.details


def from_dict(values: dict[str, Any]) -> Record:
    """Return the record that `as_dict` was made of; raises KeyError where a field is missing."""
    known = {field.attribute: values[field.name] for field in FIELDS}
    names = {field.name for field in FIELDS}
    return Record(**known, details={k: v for k, v in values.items() if k not in names})


def to_lines(record: Record) -> list[str]:
    """Return the record as ``Key=Value`` lines; Date in local time, characters of control as ?.

    The fields of tasks are left out of an event that is about no task.
    """
    left_out = () if record.task_id or record.task_name else _OF_TASKS
    values = {**as_dict(record), "Date": local_time(record.date)}
    return [f"{name}={printable(text)}" for name, text in values.items() if name not in left_out]


def local_time(date: float) -> str:
    """Return a time as queries take it: ``YYYY-MM-DD hh:mm:ss``, local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(date))


def printable(value: object) -> str:
    """Return a value without what could break a line or turn the terminal's text around."""
    return _UNPRINTABLE.sub("?", str(value))


def detail_texts(details: dict[str, Any]) -> dict[str, str]:
    """Return details with names that queries can say, and texts that can be stored; none is None.

    ``server_name`` becomes ``ServerName``. A name that all records have gets ``Detail`` in front.
    Of two names that differ only in their case, the first one stays.
    """
    made: dict[str, str] = {}
    for key, value in details.items():
        name = _detail_name(key)
        if value is None or any(name.lower() == other.lower() for other in made):
            continue
        if len(made) == MAXIMUM_DETAILS:
            break
        made[name] = text_of(value)
    return made


def text_of(value: object) -> str:
    """Return a value as text of bounded length that is valid UTF-8 without NUL."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
    cut = text if len(text) <= MAXIMUM_TEXT else f"{text[:MAXIMUM_TEXT]}…"
    return _INVALID.sub("?", cut)


def _detail_name(key: str) -> str:
    words = _NO_NAME.sub("_", key).split("_")
    name = "".join(word[:1].upper() + word[1:] for word in words)[:MAXIMUM_NAME]
    taken = not name or name[0].isdigit() or name.lower() in _RESERVED
    return f"Detail{name}" if taken else name
