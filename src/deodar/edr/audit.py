"""The audit trail: who changed what, from where and when, to be read and to be proven.

Rows are written with each change (`deodar.edr.database.record`) and by nothing else; the product
has no way to change one. The oldest go when there are very many, which is itself a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import msgspec
from sqlalchemy import select

from deodar.edr import audit_chain
from deodar.edr.audit_chain import Place
from deodar.edr.errors import EdrError
from deodar.edr.tables import audit as table
from deodar.edr.tables import audit_chain as head_table

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Select

    from deodar.edr.database import Database

_CHUNK = 2000
_LAST = 2**31 - 1  # that the column can have


class Entry(msgspec.Struct, frozen=True):
    """One row of the trail."""

    number: int
    time_us: int
    user: str
    address: str
    action: str
    subject: str
    details: str
    before: str
    after: str
    hash: str


@dataclass(frozen=True)
class Wanted:
    """Which entries to show; empty texts and 0 stand for all."""

    user: str = ""
    action: str = ""
    """How the action begins."""
    subject: str = ""
    since_us: int = 0
    until_us: int = 0


class Verdict(msgspec.Struct, frozen=True):
    """What came of a check: how many rows, the last one, and what is wrong, "" for nothing."""

    rows: int
    number: int
    hash: str
    problem: str


class AuditBroken(EdrError):  # noqa: N818  # names what was found
    """The trail is not as it was written."""

    exit_code: ClassVar[int] = 5


_SELECT = select(*(table.c[name] for name in Entry.__struct_fields__))


class Trail:
    """The trail of one server; synchronous, safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, wanted: Wanted, before: int = 0, limit: int = 100) -> list[Entry]:
        """Return up to so many entries, the newest first, those numbered below `before` if any."""
        query = _narrowed(_SELECT, wanted)
        if 0 < before <= _LAST:
            query = query.where(table.c.number < before)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(table.c.number.desc()).limit(limit)).all()
        return [_entry(row) for row in rows]

    def verify(self, noted: Place | None = None) -> Verdict:
        """Check the whole chain, and that it has a row that was `noted` earlier."""
        with self._database.read() as connection:
            head = connection.execute(select(head_table.c.number, head_table.c.hash)).first()
            if head is None:
                return Verdict(0, 0, "", "the head of the chain is missing")
            return _Check(connection, noted).run(Place(head.number, head.hash))


class _Check:
    def __init__(self, connection: Connection, noted: Place | None) -> None:
        self._connection = connection
        self._key = audit_chain.key_of(connection)
        self._noted = noted
        self._rows = 0
        self._last = audit_chain.beginning(connection)
        self._seen = noted is None or noted.number <= self._last.number

    def run(self, head: Place) -> Verdict:
        problem = self._walk()
        if not problem and (self._last.number, self._last.hash) != (head.number, head.hash):
            problem = f"rows after {self._last.number} are missing; the chain went to {head.number}"
        if not problem and not self._seen and self._noted is not None:
            problem = f"row {self._noted.number}, noted earlier, is missing at the end"
        return Verdict(self._rows, self._last.number, self._last.hash, problem)

    def _walk(self) -> str:
        while rows := self._chunk():
            for row in rows:
                if problem := self._step(row):
                    return problem
        return ""

    def _step(self, row: Row[tuple[int, str]]) -> str:
        digest = audit_chain.next_hash(self._key, self._last.hash, row._mapping)
        if digest != row.hash:
            return f"row {row.number} was changed, or rows before it are missing"
        if self._noted is not None and self._noted.number == row.number:
            self._seen = True
            if self._noted.hash != digest:
                return f"row {row.number} is not the one that was noted earlier"
        self._rows += 1
        self._last = Place(row.number, digest)
        return ""

    def _chunk(self) -> list[Row[tuple[int, str]]]:
        behind = table.c.number > self._last.number
        query = _SELECT.where(behind).order_by(table.c.number).limit(_CHUNK)
        return list(self._connection.execute(query).all())


def _narrowed(query: Select[tuple[int, str]], wanted: Wanted) -> Select[tuple[int, str]]:
    if wanted.user:
        query = query.where(table.c.user == wanted.user)
    if wanted.action:
        query = query.where(table.c.action.startswith(wanted.action, autoescape=True))
    if wanted.subject:
        query = query.where(table.c.subject == wanted.subject)
    if wanted.since_us:
        query = query.where(table.c.time_us >= wanted.since_us)
    if wanted.until_us:
        query = query.where(table.c.time_us < wanted.until_us)
    return query


def _entry(row: Row[tuple[int, str]]) -> Entry:
    return msgspec.convert(row, Entry, from_attributes=True)
