"""Restoring a backup: into a folder beside the final one, which it becomes when all is done.

The backup is checked as a whole first. A server's folder that is there is refused, or, when asked
for, put aside and never deleted; one in use is refused. A store or a database elsewhere must be
empty. The log goes on under a new epoch, so that tokens which stand behind the backup's last event
are refused.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from deodar.edr import installation as installations
from deodar.edr.backup import control_data, events
from deodar.edr.backup.archive import Archive
from deodar.edr.backup.make import KEY
from deodar.edr.database import HEAD, record, sqlite_url
from deodar.edr.errors import BackupError
from deodar.edr.settings import EdrSettings
from deodar.kit import settings as files
from deodar.kit.directory import StateDirectory, sync_folder
from deodar.store.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_KEYS: Final = ("authority.key", "server.key", "token.key")


class Restored(msgspec.Struct, frozen=True):
    """A server that was restored."""

    dir: str
    events: int
    last_seq: int
    server_id: str
    put_aside: str
    """Where the folder is that was there before, "" if none was."""


@dataclass(frozen=True)
class Target:
    """Where to restore to, and what differs from the backup."""

    folder: Path
    replace: bool = False
    keys_from: Path | None = None
    store: str | None = None
    database: str | None = None


def restore(path: Path, target: Target) -> Restored:
    """Restore a backup; raises BackupError, StoreError, ControlDataError, SettingsError."""
    archive = Archive(path)
    header = archive.header
    if header.revision > HEAD:
        raise BackupError(
            f"{path} was made by {header.version}, whose tables are newer than this program's; "
            "restore it with that version"
        )
    folder = target.folder.absolute()
    with _aside(folder, replace=target.replace) as made:
        archive.copy("files/", made)
        _keys(archive, made, target.keys_from)
        _settings(made, target)
        opened = installations.open_(made)
        url = opened.settings.database or sqlite_url(made / "edr.db")
        control_data.load(url, header.revision, archive.read("control/"))
        with contextlib.closing(open_engine(opened.store_url)) as engine:
            count = events.load(engine, header.last_seq, archive.read("log/"))
        with contextlib.closing(opened.database()) as database, database.write() as connection:
            record(connection, "restore", str(path), f"events up to {header.last_seq}")
        put_aside = _put_in_place(made, folder)
    return Restored(str(folder), count, header.last_seq, header.server_id, str(put_aside or ""))


@contextlib.contextmanager
def _aside(folder: Path, *, replace: bool) -> Iterator[Path]:
    """Give a new folder beside the final one; it goes when the restoring fails."""
    with contextlib.ExitStack() as stack:
        if _filled(folder):
            if not replace:
                raise BackupError(
                    f"{folder} is not empty; give another folder, or --replace to put it aside"
                )
            stack.enter_context(StateDirectory(folder).lock())  # a server that runs is not touched
        made = folder.with_name(f".{folder.name}.restoring")
        if made.exists():
            raise BackupError(f"{made} is left from another restore; remove it if none runs")
        StateDirectory.create(made)
        try:
            yield made
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise


def _put_in_place(made: Path, folder: Path) -> Path | None:
    """Return where the folder is now that was there before, None if there was none."""
    aside = None
    if _filled(folder):
        aside = folder.with_name(f"{folder.name}.before-{time.time_ns()}")
        folder.rename(aside)
    made.rename(folder)  # replaces an empty folder
    sync_folder(folder.parent)
    return aside


def _filled(folder: Path) -> bool:
    if folder.exists() and not folder.is_dir():
        raise BackupError(f"{folder} is no folder")
    return folder.is_dir() and any(folder.iterdir())


def _keys(archive: Archive, made: Path, keys_from: Path | None) -> None:
    """See to it that the keys are there, from the backup or from a folder that has them."""
    if archive.header.keys:
        return
    if keys_from is None:
        raise BackupError(
            "the backup has no private keys; give the folder that has them with --keys-from "
            f"({', '.join(_KEYS)})"
        )
    directory = StateDirectory(made)
    for source in sorted(keys_from.glob(f"*{KEY}")):
        directory.write_secret(source.name, source.read_bytes())
    missing = [name for name in _KEYS if not directory.has(name)]
    if missing:
        raise BackupError(f"{keys_from} has no {', '.join(missing)}")


def _settings(made: Path, target: Target) -> None:
    """Write the settings anew if the store or the database is to be another one."""
    given = {"store": target.store, "database": target.database}
    changed = {name: value for name, value in given.items() if value is not None}
    if not changed:
        return
    settings = files.load(made / installations.SETTINGS, EdrSettings)
    settings = msgspec.structs.replace(settings, **changed)
    text = files.dump(settings, comment="Settings of the EDR server; see docs/reference.")
    StateDirectory(made).write(installations.SETTINGS, text.encode())
