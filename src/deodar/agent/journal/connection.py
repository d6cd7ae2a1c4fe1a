"""Opening the file of the agent's own events, and moving a damaged one out of the way.

Writes are cheap: a small write-ahead log that is not synced at each event, so that a power cut can
cost the last events but never the file.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from deodar.agent.journal.conditions import register
from deodar.agent.journal.errors import JournalError

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION_ID = 0x44656F64
VERSION = 1
BUSY = 0.2
"""Seconds that a write waits for another program that has the file open."""
CACHE_KIB = 256
LOG_PAGES = 64
READ_ERRORS = (sqlite3.Error, OSError, msgspec.DecodeError)
"""What an open file raises when it or its disk is in trouble."""

_SCHEMA = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
CREATE TABLE events (
    event_id INTEGER PRIMARY KEY,
    event_type TEXT NOT NULL,
    date REAL NOT NULL,
    danger_level TEXT NOT NULL,
    initiator TEXT NOT NULL,
    task_id INTEGER NOT NULL,
    task_name TEXT NOT NULL,
    task_type TEXT NOT NULL,
    runtime_task_id INTEGER NOT NULL,
    details TEXT NOT NULL
);
"""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Foreign(sqlite3.DatabaseError):
    """A SQLite file, but not one of these, or one of a later version."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file of a running agent; make it, for its owner alone, if it is not there."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection)
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            connection.executescript(_SCHEMA)
        _check_kind(connection)
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a file to read it; it may lie on a medium that takes no writes."""
    failure: sqlite3.Error | None = None
    for mode in ("mode=ro", "immutable=1"):
        uri = f"file:{quote(str(path.absolute()))}?{mode}"
        connection = sqlite3.connect(
            uri, timeout=BUSY, isolation_level=None, check_same_thread=False, uri=True
        )
        try:
            _prepare(connection)
            _check_kind(connection)
        except sqlite3.OperationalError as error:
            connection.close()
            failure = failure or error
            continue
        except BaseException:
            connection.close()
            raise
        return connection
    raise failure or sqlite3.OperationalError("cannot be opened")


def _prepare(connection: sqlite3.Connection) -> None:
    for setting in (
        "synchronous = NORMAL",
        f"cache_size = -{CACHE_KIB}",
        f"wal_autocheckpoint = {LOG_PAGES}",
        f"journal_size_limit = {LOG_PAGES * 4096}",
    ):
        connection.execute(f"PRAGMA {setting}").fetchall()
    register(connection)


def _check_kind(connection: sqlite3.Connection) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        raise Foreign("it is a database, but none of an agent's events")
    if version > VERSION:
        raise Foreign(f"it was made by a later version (format {version}, known: {VERSION})")


def is_damage(error: BaseException) -> bool:
    """Whether the file itself is what is wrong, and not the disk it is on."""
    code = getattr(error, "sqlite_errorcode", 0)
    text_is_no_json = isinstance(error, msgspec.DecodeError)
    return isinstance(error, Foreign) or text_is_no_json or code & 0xFF in _DAMAGED


def set_aside(path: Path) -> Path:
    """Move a damaged file out of the way, in place of an earlier one; return its new path."""
    aside = path.with_name(f"{path.name}.set-aside")
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return path.replace(aside)


def told(error: Exception, path: Path) -> JournalError:
    """Return the error of a read as one for people."""
    if is_damage(error):
        return JournalError(f"the file {path} holds no events that can be read: {error}")
    return JournalError(f"cannot read the events in {path}: {error}")
