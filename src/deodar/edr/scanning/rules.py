"""YARA rules: sets of them by name, checked by the compiler before they are taken.

All sets are compiled together, each in a namespace of its own, so that names of rules can be the
same in several. They are in the database, so that every server on it scans by the same ones.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, insert, select

from deodar.edr.database import now_us, record
from deodar.edr.errors import NotKnown, RulesProblem
from deodar.edr.scanning import engine
from deodar.edr.tables_response import yara_rules as table
from deodar.kit.acting import actor

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from deodar.edr.database import Database

LARGEST = 4 << 20
"""Bytes of one set."""
LARGEST_ALL = 32 << 20
MOST_SETS = 1000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)


class RuleSet(msgspec.Struct, frozen=True):
    """One set of rules, without its text."""

    name: str
    digest: str
    rules: int
    user: str
    added_us: int


_SELECT = select(*(table.c[name] for name in RuleSet.__struct_fields__)).order_by(table.c.name)


class Rules:
    """The sets of rules of one server; synchronous, safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, text: str) -> RuleSet:
        """Take a set of rules, in place of the one of that name if there is one; returns it.

        Raises RulesProblem when it does not compile, has no rule, or is too large.
        """
        if not _NAME.fullmatch(name):
            raise RulesProblem(
                f"'{name[:64]}' is no name for rules: letters, digits, '.', '_' and '-', at most 64"
            )
        if len(text.encode()) > LARGEST:
            raise RulesProblem(f"the rules are larger than {LARGEST} bytes")
        if "\0" in text:
            raise RulesProblem("the rules hold a NUL: they are no text")
        count = engine.check({name: text})
        if not count:
            raise RulesProblem("there is no rule in it")
        row = {
            "name": name,
            "digest": hashlib.sha256(text.encode()).hexdigest(),
            "rules": count,
            "user": actor().name,
            "added_us": now_us(),
        }
        with self._database.write() as connection:
            connection.execute(delete(table).where(table.c.name == name))
            _check_room(connection, len(text))
            connection.execute(insert(table).values(**row, text=text))
            record(connection, "yara add", name, f"{count} rules, SHA-256 {row['digest']}")
        return msgspec.convert(row, RuleSet)

    def list(self) -> list[RuleSet]:
        """Return all sets by name."""
        with self._database.read() as connection:
            return [RuleSet(**row._mapping) for row in connection.execute(_SELECT).all()]

    def text(self, name: str) -> str:
        """Return the text of a set; raises NotKnown."""
        with self._database.read() as connection:
            found = connection.execute(select(table.c.text).where(table.c.name == name)).scalar()
        if found is None:
            raise NotKnown(_unknown(name))
        return str(found)

    def remove(self, name: str) -> RuleSet:
        """Delete a set; returns what it was. Raises NotKnown."""
        with self._database.write() as connection:
            row = connection.execute(_SELECT.where(table.c.name == name)).first()
            if row is None:
                raise NotKnown(_unknown(name))
            connection.execute(delete(table).where(table.c.name == name))
            record(connection, "yara remove", name, f"SHA-256 {row.digest}")
        return RuleSet(**row._mapping)

    def version(self) -> str:
        """Return a text that is another one whenever the rules are."""
        query = select(table.c.name, table.c.digest).order_by(table.c.name)
        with self._database.read() as connection:
            rows: list[Any] = list(connection.execute(query).all())
        joined = "".join(f"{row.name}={row.digest};" for row in rows)
        return hashlib.sha256(joined.encode()).hexdigest() if rows else ""

    def texts(self) -> dict[str, str]:
        """Return the texts of all sets by name."""
        query = select(table.c.name, table.c.text).order_by(table.c.name)
        with self._database.read() as connection:
            return {row.name: row.text for row in connection.execute(query).all()}


def _check_room(connection: Connection, size: int) -> None:
    query = select(func.count(), func.coalesce(func.sum(func.length(table.c.text)), 0))
    count, used = connection.execute(query).one()
    if count >= MOST_SETS:
        raise RulesProblem(f"there are {count} sets of rules already; remove some")
    if int(used) + size > LARGEST_ALL:
        raise RulesProblem(f"all rules together would be larger than {LARGEST_ALL} bytes")


def _unknown(name: str) -> str:
    return f"no YARA rules are named '{name[:64]}'; see: deodar edr yara list"
