"""The database of the EDR server's control data, with its audit trail.

How it is opened and brought up to date is the business of `deodar.kit.database`.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from deodar.edr import (
    audit_chain,
    tables_nodes,  # noqa: F401  # its tables belong to the metadata
    tables_response,  # noqa: F401
    tables_users,  # noqa: F401
)
from deodar.edr.errors import ControlDataError, NotStorable
from deodar.kit import database as kit
from deodar.kit.acting import Actor, actor
from deodar.kit.database import now_us, sqlite_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

__all__ = ["Database", "SessionLock", "empty_database", "now_us", "record", "sqlite_url"]

_LONGEST_CHANGE = 16_384
_NOTICE_DEATH = (
    "tcp_keepalives_idle = 5",
    "tcp_keepalives_interval = 2",
    "tcp_keepalives_count = 3",
)
"""Of a session with a lock: a host that lost its power has it no longer than some 11 seconds."""
HEAD = "0007"
VERSION_TABLE = "deodar_edr_version"
SCHEMA = kit.Schema(
    migrations="deodar.edr:migrations",
    head=HEAD,
    version_table=VERSION_TABLE,
    settings="edr.toml",
    failed=ControlDataError,
    not_storable=NotStorable,
)


class Database(kit.Database):
    """An opened database, its tables up to date; safe to use from several threads.

    Raises ControlDataError when it does not answer, NotStorable for what it cannot keep.
    """

    def __init__(self, url: str, audit_key: bytes = b"") -> None:
        """Open the database at an SQLAlchemy URL and bring its tables up to date.

        `audit_key` is the one of the audit trail's chain. Raises ControlDataError when it cannot
        be reached or was made by a newer release.
        """
        super().__init__(url, SCHEMA, {audit_chain.KEY_OPTION: audit_key})

    def session_lock(self, key: int) -> SessionLock:
        """Return a lock that one process has as long as it keeps its session."""
        return SessionLock(self._engine, self._shown, key)


class SessionLock:
    """A lock in PostgreSQL that ends with the session. SQLite has none: its file is one host's."""

    def __init__(self, engine: Engine, shown: str, key: int) -> None:
        self._engine = engine
        self._shown = shown
        self._key = key
        self._connection: Connection | None = None
        self._turn = threading.Lock()  # a session does one thing at a time

    def take(self) -> bool:
        """Return whether this process has the lock, taking it if it is free.

        Raises ControlDataError when the database does not answer; the lock may be lost then.
        """
        if self._engine.dialect.name != "postgresql":
            return True
        with self._turn, self._told():
            return self._take()

    def execute(self, sql: str, values: dict[str, Any]) -> int:
        """Change rows in the session that has the lock, at once; returns how many.

        Nothing is changed without the lock: then 0 is returned. Raises ControlDataError; the lock
        may be lost then.
        """
        with self._turn, self._told():
            if self._connection is None:
                return 0
            changed = self._connection.execute(text(sql), values).rowcount
            self._connection.commit()
            return changed

    def release(self) -> None:
        """Let it go, and its session with it."""
        with self._turn:
            self._let_go()

    def _take(self) -> bool:
        if self._connection is not None:
            self._connection.execute(text("SELECT 1"))
            self._connection.commit()  # the lock is the session's, and no transaction stays open
            return True
        with ExitStack() as stack:
            connection = stack.enter_context(self._engine.connect().execution_options(reading=True))
            for option in _NOTICE_DEATH:
                connection.execute(text(f"SET {option}"))
            query = text("SELECT pg_try_advisory_lock(:key)")
            mine = bool(connection.execute(query, {"key": self._key}).scalar_one())
            connection.commit()
            if mine:
                self._connection = connection
                stack.pop_all()
            return mine

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Let go of the session with any error, and tell it as ControlDataError."""
        try:
            yield
        except SQLAlchemyError as error:
            self._let_go()
            reason = getattr(error, "orig", None) or error
            raise ControlDataError(f"the database {self._shown} failed: {reason}") from error

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.invalidate()
                connection.close()


def record(
    connection: Connection,
    action: str,
    subject: str,
    details: str = "",
    user: str = "",
    *,
    before: str = "",
    after: str = "",
) -> None:
    """Add an audit row within the transaction of the change that it tells of.

    Who did it is `user`, such as an agent, or else whoever acts now; `before` and `after` are what
    was changed, without secrets.
    """
    who = actor()
    if user not in {"", who.name}:
        who = Actor(user, "")
    row = {"time_us": now_us(), "action": action[:64], "subject": subject[:256]}
    changed = {"before": _bounded(before), "after": _bounded(after)}
    named = {"user": who.name[:128], "address": who.address[:64]}
    whole = row | changed | named | {"details": _bounded(details)}
    audit_chain.append(connection, whole)


def _bounded(text: str) -> str:
    return text if len(text) <= _LONGEST_CHANGE else f"{text[:_LONGEST_CHANGE]}…"


@contextmanager
def empty_database(url: str, revision: str) -> Iterator[Connection]:
    """Make the tables of a revision in an empty database and give a transaction on them.

    Raises ControlDataError when there are tables already or the revision is not known.
    """
    with kit.empty_database(url, SCHEMA, revision) as connection:
        yield connection
