"""Queries of the agent's own events, in the filter language of KESL (page 201938 of its manual).

``<field> <operator> '<value>' [and <field> <operator> '<value>' …]``. One query runs as SQL in the
store and as a function on a passing record; both give the same answer. In a value a quote is
written twice.
"""

from __future__ import annotations

import calendar
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from deodar.agent.journal.conditions import Condition, DetailCondition, FieldCondition
from deodar.agent.journal.errors import QueryError
from deodar.agent.journal.record import FIELDS, REPEATS, EventType, Field

if TYPE_CHECKING:
    from deodar.agent.journal.record import Record

MAXIMUM_LENGTH = 4096
"""Characters of a query."""

OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "like")
_SAID = "an operator (==, !=, <, <=, >, >=, like)"
_DATE_SAID = "seconds since 1970 or 'YYYY-MM-DD hh:mm:ss'"
_TOKEN = re.compile(
    r"\s*(?:(?P<value>'(?:[^']|'')*')|(?P<operator>[=!<>]+)|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<end>\Z)|(?P<other>\S+))"
)
_FORBIDDEN = re.compile("[\0\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)", re.ASCII)
_BY_NAME = {field.name.lower(): field for field in FIELDS}
_DETAILS = {name.lower() for kind in EventType for name in (*kind.details, *REPEATS)}


class Query(msgspec.Struct, frozen=True):
    """Conditions that a record has to meet, all of them; none: every record does."""

    conditions: tuple[Condition, ...] = ()

    def matches(self, record: Record) -> bool:
        """Whether the record meets every condition."""
        return all(condition.matches(record) for condition in self.conditions)

    def to_sql(self) -> tuple[str, list[Any]]:
        """Return a condition on a row of the table `events`, and its parameters in order.

        The connection needs the functions of `deodar.agent.journal.conditions.register`.
        """
        cheap_first = sorted(self.conditions, key=lambda c: isinstance(c, DetailCondition))
        parts = [condition.to_sql() for condition in cheap_first]
        text = " AND ".join(text for text, _ in parts) or "1"
        return text, [value for _, values in parts for value in values]


def unusual_names(query: Query) -> list[str]:
    """Return names in a query that no type of event is known to have, in lower case."""
    names = [one.name for one in query.conditions if isinstance(one, DetailCondition)]
    return [name for name in names if name not in _DETAILS]


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


def parse(text: str) -> Query:
    """Return the query of a text; of an empty one, the query that every record meets.

    Raises QueryError that says where, and what was expected there.
    """
    _check(text)
    reader = _Reader(text)
    if not text.strip():
        return Query()
    conditions = [_condition(reader)]
    while reader.next("and or the end of the query", "word", "end").kind != "end":
        if reader.last.text.lower() != "and":
            raise reader.unexpected("and or the end of the query")
        conditions.append(_condition(reader))
    return Query(tuple(conditions))


class _Reader:
    """Takes one token after another."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.last = _Token("", "", 0)
        self._position = 0

    def next(self, expected: str, *kinds: str) -> _Token:
        """Return the next token; raises QueryError unless it is of one of the kinds."""
        found = _TOKEN.match(self.text, self._position)
        if found is None or found.lastgroup is None:  # cannot be: the pattern takes anything
            raise QueryError("not understood", self.text, self._position, expected)
        kind = found.lastgroup
        self._position = found.end()
        self.last = _Token(kind, found[kind], found.start(kind))
        if kind not in kinds:
            raise self.unexpected(expected)
        return self.last

    def unexpected(self, expected: str) -> QueryError:
        """Return the error that the last token does not belong there."""
        if self.last.kind == "end":
            return QueryError("the query ends here", self.text, len(self.text.rstrip()), expected)
        shown = self.last.text
        if shown.startswith("'") and self.last.kind == "other":
            reason = "the value that begins here has no closing '"
            return QueryError(reason, self.text, self.last.position, "a quote in a value twice: ''")
        return self.error(f"did not expect {_cut(shown)}", expected)

    def error(self, reason: str, expected: str) -> QueryError:
        """Return an error at the last token."""
        return QueryError(reason, self.text, self.last.position, expected)


def _check(text: str) -> None:
    if len(text) > MAXIMUM_LENGTH:
        reason = f"longer than {MAXIMUM_LENGTH} characters"
        raise QueryError(reason, text[:MAXIMUM_LENGTH], MAXIMUM_LENGTH)
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        reason = f"U+{ord(forbidden[0]):04X} cannot be part of a query"
        raise QueryError(reason, text, forbidden.start())


def _condition(reader: _Reader) -> Condition:
    name = reader.next("the name of a field", "word").text
    field = _BY_NAME.get(name.lower())
    operator = reader.next(_SAID, "operator", "word").text.lower()
    if operator not in OPERATORS:
        raise reader.unexpected(_SAID)
    if operator == "like" and field is not None and field.kind != "text":
        reason = f"like is for texts, and {field.name} is a {field.kind}"
        raise reader.error(reason, ", ".join(OPERATORS[:-1]))
    value = reader.next("a value in single quotes", "value").text[1:-1].replace("''", "'")
    if field is None:
        return DetailCondition(name.lower(), operator, value)
    return FieldCondition(field, operator, _typed(reader, field, value))


def _typed(reader: _Reader, field: Field, value: str) -> str | int:
    if field.kind == "text":
        return value
    number = _number(value)
    if number is None and field.kind == "date":
        number = _date(value)
    if number is None:
        expected = _DATE_SAID if field.kind == "date" else "a whole number of 64 bits"
        raise reader.error(f"{field.name} is a {field.kind}, and {_cut(value)!r} is none", expected)
    return number


def _number(text: str) -> int | None:
    if not _NUMBER.fullmatch(text.strip()):
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


def _date(text: str) -> int | None:
    """Return local time as seconds since 1970; None for what is in no calendar."""
    found = _DATE.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups())
    parts = (year, month, day, hour, minute, second, 0, 0, -1)
    try:
        if time.gmtime(calendar.timegm(parts))[:6] != parts[:6]:
            return None
        return int(time.mktime(parts))
    except (OverflowError, ValueError):
        return None


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"
