"""The database of control data: SQLite in the server's folder, or PostgreSQL by URL.

SQLite runs with a write-ahead log and full synchronisation, so that a decision of an administrator
is on the disk when the command returns, and so that commands and the running server can use it at
the same time. Migrations are applied when it is opened; doing so again changes nothing.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, SQLAlchemyError

from deodar.edr import (
    audit_chain,
    tables_response,  # noqa: F401  # its tables belong to the metadata
    tables_users,  # noqa: F401
)
from deodar.edr.acting import Actor, actor
from deodar.edr.errors import ControlDataError, NotStorable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

_BUSY_MS = 10_000
_WRITERS = 0x64656F646172
"""The advisory lock of those who write; "deodar" in ASCII."""
_LONGEST_CHANGE = 16_384
HEAD = "0006"
VERSION_TABLE = "deodar_edr_version"


def now_us() -> int:
    """Return the time of day in µs since the epoch."""
    return time.time_ns() // 1000


def sqlite_url(path: Path) -> str:
    """Return the SQLAlchemy URL of an SQLite file."""
    return f"sqlite+pysqlite:///{path}"


class Database:
    """An opened database, its tables up to date; safe to use from several threads."""

    def __init__(self, url: str, audit_key: bytes = b"") -> None:
        """Open the database at an SQLAlchemy URL and bring its tables up to date.

        `audit_key` is the one of the audit trail's chain. Raises ControlDataError when it cannot
        be reached or was made by a newer release.
        """
        self._shown = _shown(url)
        try:
            keyed = {audit_chain.KEY_OPTION: audit_key}
            self._engine = _engine(url).execution_options(**keyed)
            _make_private(url)
            if _revision(self._engine) != HEAD:
                with _only_one(url):
                    _migrate(self._engine, self._shown)
        except (SQLAlchemyError, ImportError, OSError) as error:
            raise ControlDataError(f"cannot open the database {self._shown}: {error}") from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a transaction that is committed at the end, or rolled back on an exception.

        Raises ControlDataError when the database does not answer.
        """
        with self._told(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection for reading; raises ControlDataError when the database is away."""
        with self._told(), self._engine.connect() as connection:
            yield connection.execution_options(reading=True)

    def session_lock(self, key: int) -> SessionLock:
        """Return a lock that one process has as long as it keeps its session."""
        return SessionLock(self._engine, self._shown, key)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except DataError as error:
            raise NotStorable(
                f"Bad Request: a value cannot be kept: {_first_line(error)}"
            ) from error
        except SQLAlchemyError as error:
            reason = getattr(error, "orig", None) or error
            raise ControlDataError(f"the database {self._shown} failed: {reason}") from error


class SessionLock:
    """A lock in PostgreSQL that ends with the session. SQLite has none: its file is one host's."""

    def __init__(self, engine: Engine, shown: str, key: int) -> None:
        self._engine = engine
        self._shown = shown
        self._key = key
        self._connection: Connection | None = None

    def take(self) -> bool:
        """Return whether this process has the lock, taking it if it is free.

        Raises ControlDataError when the database does not answer; the lock may be lost then.
        """
        if self._engine.dialect.name != "postgresql":
            return True
        try:
            if self._connection is not None:
                self._connection.execute(text("SELECT 1"))
                return True
            connection = self._engine.connect().execution_options(
                isolation_level="AUTOCOMMIT", reading=True
            )
            query = text("SELECT pg_try_advisory_lock(:key)")
            if connection.execute(query, {"key": self._key}).scalar_one():
                self._connection = connection
                return True
            connection.close()
        except SQLAlchemyError as error:
            self.release()
            raise ControlDataError(f"the database {self._shown} failed: {error}") from error
        return False

    def release(self) -> None:
        """Let it go, and its session with it."""
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


def _first_line(error: DataError) -> str:
    return str(error.orig).split("\n", 1)[0][:200]


def _bounded(text: str) -> str:
    return text if len(text) <= _LONGEST_CHANGE else f"{text[:_LONGEST_CHANGE]}…"


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ControlDataError(f"the setting database is no SQLAlchemy URL: {error}") from error
    if parsed.get_backend_name() != "sqlite":
        engine = create_engine(parsed, pool_pre_ping=True)
        event.listen(engine, "begin", _begin_elsewhere)
        return engine
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_MS / 1000})
    event.listen(engine, "connect", _tune_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _tune_sqlite(connection: Any, _record: Any) -> None:
    # Transactions are begun by `_begin_sqlite`, not by the driver.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: a transaction that reads first and then writes cannot fail as "locked" half-way.
    # Connections for reading only are marked, so that they do not wait for a writer.
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _begin_elsewhere(connection: Connection) -> None:
    # One writer at a time, as in SQLite: what is read before it is written stays as it was read,
    # also between the servers that share the database. The lock ends with the transaction.
    if connection.dialect.name != "postgresql":
        return
    if connection.get_execution_options().get("reading", False):
        return
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_BUSY_MS}")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")


def _revision(engine: Engine) -> str | None:
    """Return which migration a database has reached, None for a new one."""
    with engine.connect() as connection:
        connection = connection.execution_options(reading=True)
        if not inspect(connection).has_table(VERSION_TABLE):
            return None
        found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
        return found.scalar_one_or_none()


@contextmanager
def empty_database(url: str, revision: str) -> Iterator[Connection]:
    """Make the tables of a revision in an empty database and give a transaction on them.

    Raises ControlDataError when there are tables already or the revision is not known.
    """
    shown = _shown(url)
    _make_private(url)
    try:
        engine = _engine(url)
        if _revision(engine) is not None:
            raise ControlDataError(f"the database {shown} has tables already; it must be empty")
        _migrate(engine, shown, revision)
        with engine.begin() as connection:
            yield connection
        engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        raise ControlDataError(f"cannot fill the database {shown}: {error}") from error


def _migrate(engine: Engine, shown: str, revision: str = "head") -> None:
    # Imported only when needed: most commands find the tables up to date.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "deodar.edr:migrations")
    config.set_main_option("path_separator", "os")
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except CommandError as error:
        raise ControlDataError(
            f"the database {shown} is of another release of Deodar: {error}"
        ) from error


@contextmanager
def _only_one(url: str) -> Iterator[None]:
    """Let one process migrate an SQLite file at a time; elsewhere the transaction does it."""
    path = _file(url)
    if path is None:
        yield
        return
    descriptor = os.open(f"{path}.migrate", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_private(url: str) -> None:
    """Make a new SQLite file readable by its owner alone, before anything is in it."""
    path = _file(url)
    if path is not None:
        path.touch(mode=0o600)


def _file(url: str) -> Path | None:
    """Return the path of an SQLite file, None for another database."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database))


def _shown(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "given in edr.toml"
