"""From messages of DNS to queries with their answers.

A query waits for its answer: the same process, number and question. What has not come after some
seconds is told without; an answer whose query was not seen is told as it is, for it repeats the
question.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from deodar.agent.gather.dns_wire import Message, MessageError, read
from deodar.agent.sensors.acts import DnsMessage, DnsQuery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.sensors.base import ProcessKey, Record

PATIENCE = 5.0
"""Seconds that a query waits for its answer."""
MOST_WAITING = 4096
UDP = 17
LENGTH_BYTES = 2
QUESTIONS, ONE = slice(4, 6), b"\0\1"
"""Where a message counts its questions, and how many they are; with the length before it, these
are its flags, and never so."""

_Question = tuple["ProcessKey", int, str, str]


class DnsQueries:
    """Pairs queries and answers."""

    takes: tuple[type[Any], ...] = (DnsMessage,)
    sees: tuple[type[Any], ...] = ()

    def __init__(self) -> None:
        self._waiting: OrderedDict[_Question, tuple[float, DnsQuery]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many queries wait for an answer."""
        return len(self._waiting)

    def take(self, record: DnsMessage) -> Sequence[Record]:
        """Return the query that a message completes, or nothing yet."""
        is_sent = record.direction == "outbound"
        try:
            message = read(_payload(record))
        except MessageError:
            # Of TCP it may be a piece; of an answer the query tells. Odd queries are told as such.
            return [_odd(record)] if is_sent and record.protocol == UDP else []
        question = (record.key, message.id, message.name, message.type)
        if is_sent and not message.is_answer:
            return self._ask(question, _query(record, message))
        if is_sent or not message.is_answer:  # a name server at work, on its own port
            return []
        _, query = self._waiting.pop(question, (0.0, _query(record, message)))
        query.rcode, query.answers = message.rcode, message.answers
        return [query]

    def see(self, record: Any) -> Sequence[Record]:
        """Nothing else is of interest."""
        return ()

    def due(self, now: float, *, last: bool = False) -> Sequence[Record]:
        """Return the queries that nobody answered in time."""
        found = []
        while self._waiting:
            since, query = next(iter(self._waiting.values()))
            if since + PATIENCE > now and not last:
                break
            self._waiting.popitem(last=False)
            found.append(query)
        return found

    def _ask(self, question: _Question, query: DnsQuery) -> Sequence[Record]:
        if question not in self._waiting:  # else it is asked once more
            self._waiting[question] = (time.monotonic(), query)
        if len(self._waiting) <= MOST_WAITING:
            return ()
        return [self._waiting.popitem(last=False)[1][1]]


def _payload(record: DnsMessage) -> bytes:
    """Return the message; by TCP its length may come before it, in the same call or by itself."""
    payload = record.payload
    if record.protocol == UDP or payload[QUESTIONS] == ONE:
        return payload
    return payload[LENGTH_BYTES:]


def _query(record: DnsMessage, message: Message) -> DnsQuery:
    return DnsQuery(
        record.time_ns,
        record.key,
        record.protocol,
        record.server_ip,
        record.server_port,
        message.id,
        message.name,
        message.type,
    )


def _odd(record: DnsMessage) -> DnsQuery:
    number = int.from_bytes(record.payload[:2], "big")
    return DnsQuery(
        record.time_ns, record.key, record.protocol, record.server_ip, record.server_port, number
    )
