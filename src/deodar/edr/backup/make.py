"""Making a backup, also while the server runs.

The log is taken up to the number that it had at the beginning; what comes in meanwhile is for the
next backup. Control data are read after that number was, so that nothing in the log is unknown
there. Private keys are in the backup only when they are asked for.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final

import msgspec

from deodar import __version__
from deodar.edr.backup import control_data, events
from deodar.edr.backup.archive import FORMAT, HEADER, Header, Writer
from deodar.edr.database import HEAD, now_us, record
from deodar.edr.errors import BackupError
from deodar.edr.local import LocalServer
from deodar.edr.log.reader import Reader
from deodar.edr.log.schema import prepare
from deodar.edr.nodes.position import Position, Positions
from deodar.store.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deodar.edr.backup.events import Source
    from deodar.edr.installation import Installation

KEY: Final = ".key"
# What is made anew at each start, or is in the backup in another form.
_LEFT_OUT: Final = frozenset({"store", "address", "control.sock", "lock"})
_DATABASE: Final = "edr.db"


class Made(msgspec.Struct, frozen=True):
    """A backup that was made."""

    file: str
    bytes: int
    events: int
    last_seq: int
    keys: bool


def make(installation: Installation, path: Path, *, keys: bool) -> Made:
    """Write a backup of a server into a file that does not exist yet; returns what was written.

    Raises BackupError, StoreError, ControlDataError, ControlError.
    """
    if keys:
        _check_private(path.absolute().parent)
    with (
        Writer(path) as writer,
        _log(installation) as (source, last_seq),
        contextlib.closing(installation.database()) as database,
    ):
        server = installation.server_id
        header = Header(FORMAT, __version__, now_us(), server, last_seq, HEAD, keys)
        writer.add(HEADER, msgspec.json.encode(header))
        for name, data in control_data.dump(database):
            writer.add(f"control/{name}", data)
        for name, file in _files(installation.directory.path, keys=keys):
            writer.add_file(f"files/{name}", file)
        count = 0
        for name, data, rows in events.dump(source, last_seq):
            writer.add(f"log/{name}", data)
            count += rows
        writer.finish(count)
        with database.write() as connection:
            record(connection, "backup", str(path), f"events up to {last_seq}, keys: {keys}")
        return Made(str(path), writer.size, count, last_seq, keys)


@contextlib.contextmanager
def _log(installation: Installation) -> Iterator[tuple[Source, int]]:
    """Give where the log is to be had from, and its last number now."""
    running = LocalServer(installation.directory.socket)
    if running.answers():
        status = msgspec.json.decode(running.get("/status"))
        yield events.ServerSource(running), int(status["last_seq"])
        return
    with (
        installation.directory.lock(),
        contextlib.closing(open_engine(installation.store_url)) as engine,
    ):
        prepare(engine)
        shared = _shared(installation)
        reader = Reader(engine, lambda: shared.voids)
        last = shared.voids.before(shared.seq) if shared.term else reader.last_seq()
        yield events.StoreSource(reader), last


def _shared(installation: Installation) -> Position:
    """Return how far the log is committed that servers share; nothing for a server alone."""
    if not installation.settings.ingest.stream.urls:
        return Position()
    with contextlib.closing(installation.database()) as database:
        return Positions(database).read()


def _files(folder: Path, *, keys: bool) -> Iterator[tuple[str, Path]]:
    """Yield the names below a server's folder and the paths of what belongs into a backup."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if hidden or name.parts[0] in _LEFT_OUT or name.parts[0].startswith(_DATABASE):
            continue
        if path.is_symlink() or not path.is_file() or (path.suffix == KEY and not keys):
            continue
        yield name.as_posix(), path


def _check_private(folder: Path) -> None:
    """Refuse to put private keys where others could put a file of their own in their place."""
    try:
        found = folder.stat()
    except OSError as error:
        raise BackupError(f"cannot write into {folder}: {error.strerror}") from error
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
    if others or found.st_uid not in {0, os.getuid()}:
        raise BackupError(
            f"others may write into {folder}, and the backup will have private keys; "
            "choose a folder of your own (mode 0700)"
        )
