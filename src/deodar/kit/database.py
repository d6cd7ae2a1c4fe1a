"""A database of control data: SQLite in a program's folder, or PostgreSQL by URL.

SQLite runs with a write-ahead log and full synchronisation, so that a decision of an administrator
is on the disk when the command returns, and so that commands and the running program can use it at
the same time. Migrations are applied when it is opened; doing so again changes nothing.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection, Engine

    from deodar.kit.errors import DeodarError

_BUSY_MS = 10_000
_WRITERS = 0x64656F646172
"""The advisory lock of those who write; "deodar" in ASCII."""


@dataclass(frozen=True)
class Schema:
    """One program's tables: where their migrations are, and what errors it wants.

    `migrations` is Alembic's script location, `head` the newest revision, `settings` names the
    file that has the URL. `failed` is raised for a database that does not answer, `not_storable`
    for a value that it cannot keep.
    """

    migrations: str
    head: str
    version_table: str
    settings: str
    failed: type[DeodarError]
    not_storable: type[DeodarError]


def now_us() -> int:
    """Return the time of day in µs since the epoch."""
    return time.time_ns() // 1000


def sqlite_url(path: Path) -> str:
    """Return the SQLAlchemy URL of an SQLite file."""
    return f"sqlite+pysqlite:///{path}"


class Database:
    """An opened database, its tables up to date; safe to use from several threads."""

    def __init__(self, url: str, schema: Schema, options: Mapping[str, Any] | None = None) -> None:
        """Open the database at an SQLAlchemy URL and bring its tables up to date.

        `options` are execution options of every connection. Raises the schema's `failed` when it
        cannot be reached or was made by a newer release.
        """
        self._schema = schema
        self._shown = _shown(url, schema)
        try:
            self._engine = _engine(url, schema).execution_options(**(options or {}))
            _make_private(url)
            if _revision(self._engine, schema) != schema.head:
                with _only_one(url):
                    _migrate(self._engine, self._shown, schema)
        except (SQLAlchemyError, ImportError, OSError) as error:
            raise schema.failed(f"cannot open the database {self._shown}: {error}") from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a transaction that is committed at the end, or rolled back on an exception.

        Raises the schema's errors.
        """
        with self._told(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection for reading; raises the schema's `failed` when the database is away."""
        with self._told(), self._engine.connect() as connection:
            yield connection.execution_options(reading=True)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except DataError as error:
            raise self._schema.not_storable(
                f"Bad Request: a value cannot be kept: {_first_line(error)}"
            ) from error
        except SQLAlchemyError as error:
            reason = getattr(error, "orig", None) or error
            raise self._schema.failed(f"the database {self._shown} failed: {reason}") from error


@contextmanager
def empty_database(url: str, schema: Schema, revision: str) -> Iterator[Connection]:
    """Make the tables of a revision in an empty database and give a transaction on them.

    Raises the schema's `failed` when there are tables already or the revision is not known.
    """
    shown = _shown(url, schema)
    _make_private(url)
    try:
        engine = _engine(url, schema)
        if _revision(engine, schema) is not None:
            raise schema.failed(f"the database {shown} has tables already; it must be empty")
        _migrate(engine, shown, schema, revision)
        with engine.begin() as connection:
            yield connection
        engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        raise schema.failed(f"cannot fill the database {shown}: {error}") from error


def _first_line(error: DataError) -> str:
    return str(error.orig).split("\n", 1)[0][:200]


def _engine(url: str, schema: Schema) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise schema.failed(f"the setting database is no SQLAlchemy URL: {error}") from error
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


def _revision(engine: Engine, schema: Schema) -> str | None:
    """Return which migration a database has reached, None for a new one."""
    table = schema.version_table
    with engine.connect() as connection:
        connection = connection.execution_options(reading=True)
        if not inspect(connection).has_table(table):
            return None
        found = connection.execute(text(f"SELECT version_num FROM {table}"))  # noqa: S608
        return found.scalar_one_or_none()


def _migrate(engine: Engine, shown: str, schema: Schema, revision: str = "head") -> None:
    # Imported only when needed: most commands find the tables up to date.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", schema.migrations)
    config.set_main_option("path_separator", "os")
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except CommandError as error:
        raise schema.failed(
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


def _shown(url: str, schema: Schema) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return f"given in {schema.settings}"
