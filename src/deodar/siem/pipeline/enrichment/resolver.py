"""Asks DNS servers many questions at once over UDP, within one time limit for all.

Each server is tried twice with what is not answered yet. A question has a random id on a socket
whose port the kernel chose at random, and an answer must be to that question from that server.
"""

from __future__ import annotations

import secrets
import select
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RecordType = Literal["A", "AAAA", "PTR"]
ROUNDS = 2
_LARGEST = 4096  # bytes of a datagram that is read; more is asked for over TCP
_ANSWERED = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a name and the type of record."""

    name: str
    type: RecordType


@dataclass(frozen=True, slots=True)
class Found:
    """An answer: texts of the records, none if there are none, and how long it may be kept."""

    values: tuple[str, ...]
    seconds: int


@dataclass(frozen=True, slots=True)
class Server:
    """An address and a port."""

    host: str
    port: int = 53


class Resolver:
    """A resolver for one caller at a time."""

    def __init__(self, servers: Sequence[Server], concurrency: int) -> None:
        """At most `concurrency` questions are under way at once."""
        self._servers = tuple(servers)
        self._concurrency = concurrency

    def ask(self, questions: Iterable[Question], seconds: float) -> dict[Question, Found]:
        """Return the answers that came in time; questions without one are missing."""
        deadline = time.monotonic() + seconds
        open_questions = dict.fromkeys(questions)
        found: dict[Question, Found] = {}
        rounds = self._servers * ROUNDS
        for index, server in enumerate(rounds):
            left = deadline - time.monotonic()
            if not open_questions or left <= 0:
                break
            until = time.monotonic() + left / (len(rounds) - index)
            for question, answer in self._from(server, list(open_questions), until).items():
                found[question] = answer
                del open_questions[question]
        return found

    def _from(
        self, server: Server, questions: list[Question], until: float
    ) -> dict[Question, Found]:
        found: dict[Question, Found] = {}
        family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as link:
            link.setblocking(False)
            try:
                link.connect((server.host, server.port))
                _Exchange(link, server, questions, found).run(self._concurrency, until)
            except OSError:  # refused or unreachable: the next server is asked
                return found
        return found


class _Exchange:
    """Questions under way to one server."""

    def __init__(
        self,
        link: socket.socket,
        server: Server,
        questions: list[Question],
        found: dict[Question, Found],
    ) -> None:
        self._link, self._server = link, server
        self._waiting = questions[::-1]
        self._sent: dict[int, tuple[Question, dns.message.QueryMessage]] = {}
        self._found = found

    def run(self, concurrency: int, until: float) -> None:
        """Ask and hear until all is answered or the time is over."""
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        while self._waiting or self._sent:
            while self._waiting and len(self._sent) < concurrency:
                self._send(self._waiting.pop())
            left = until - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                return
            self._hear(until)

    def _send(self, question: Question) -> None:
        number = secrets.randbelow(65_536)
        while number in self._sent:
            number = secrets.randbelow(65_536)
        try:
            query = dns.message.make_query(question.name, question.type, id=number)
        except dns.exception.DNSException:  # no name can be so
            self._found[question] = Found((), 3600)
            return
        self._sent[number] = (question, query)
        self._link.send(query.to_wire())

    def _hear(self, until: float) -> None:
        try:
            data = self._link.recv(_LARGEST)
        except BlockingIOError:
            return
        number = int.from_bytes(data[:2], "big")
        if number not in self._sent:
            return
        question, query = self._sent[number]
        answer = response(query, data)
        if answer is None:
            return
        del self._sent[number]
        if answer.flags & dns.flags.TC:
            answer = self._by_tcp(query, until) or answer
        if answer.rcode() in _ANSWERED:
            self._found[question] = records(question, answer)

    def _by_tcp(self, query: dns.message.Message, until: float) -> dns.message.Message | None:
        left = max(0.01, until - time.monotonic())
        try:
            return dns.query.tcp(query, self._server.host, timeout=left, port=self._server.port)
        except (dns.exception.DNSException, OSError, EOFError):
            return None


def response(query: dns.message.QueryMessage, data: bytes) -> dns.message.Message | None:
    """Return the message of a datagram if it is the response to a query, None else."""
    try:
        answer = dns.message.from_wire(data, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return None
    return answer if query.is_response(answer) else None


def records(question: Question, answer: dns.message.Message) -> Found:
    """Return what an answer has of the type that was asked for."""
    wanted = dns.rdatatype.from_text(question.type)
    values: list[str] = []
    seconds: list[int] = []
    for listed in answer.answer:
        seconds.append(listed.ttl)
        if listed.rdtype == wanted:
            values += [record.to_text().rstrip(".").lower() for record in listed]
    if not values:
        seconds = [listed.ttl for listed in answer.authority]
    return Found(tuple(values), min(seconds, default=0))
