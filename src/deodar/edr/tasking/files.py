"""Files that agents fetched: taken part by part, kept by their SHA-256, within bounds.

A file lies in ``fetched/`` in the server's folder, or where servers share a log in their database
(`deodar.edr.tasking.shelf`), under its hash, which was computed here, never under a name from an
endpoint. Parts make it possible to go on after a broken connection, and keep
what agent and server hold in memory small.
"""

from __future__ import annotations

import hashlib
import re
import threading
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import delete, func, insert, select

from deodar.edr.database import now_us, record
from deodar.edr.errors import FileRefused, NotKnown
from deodar.edr.tables_response import fetched_files as table
from deodar.edr.tasking.tasks import OPEN, Tasks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.edr.database import Database
    from deodar.edr.settings import Tasking as Settings
    from deodar.edr.tasking.shelf import Shelf

_PART = re.compile(r"part-[A-Za-z0-9_.-]{1,64}", re.ASCII)
_PART_KEPT = 86_400
"""Seconds that the parts of a file wait for the others."""


class FetchedFile(msgspec.Struct, frozen=True):
    """One fetched file; `path` is that on the endpoint."""

    number: int
    task_id: str
    agent_id: str
    path: str
    size: int
    sha256: str
    received_us: int


class Part(msgspec.Struct, frozen=True):
    """Some bytes of a file, from `offset` on; the file has `total` bytes and this SHA-256."""

    offset: int
    total: int
    sha256: str
    data: bytes


class FetchedFiles:
    """The fetched files of one server; synchronous, safe to use from several threads."""

    def __init__(self, database: Database, shelf: Shelf, settings: Settings) -> None:
        """`shelf` is where the bytes are kept."""
        self._database = database
        self._shelf = shelf
        self._settings = settings
        self._tasks = Tasks(database)
        self._lock = threading.Lock()

    def add(self, agent_id: str, task_id: str, part: Part) -> int:
        """Take one part of the file that a task fetches; returns how many bytes are here now.

        With the last part the file is complete and kept. Raises NotKnown for a task that is not
        this agent's, FileRefused when the part is not taken.
        """
        task = self._tasks.find(task_id)
        if task.agent_id != agent_id or task.kind != "get_file":
            raise NotKnown(f"no task '{task_id}' of this agent fetches a file")
        if task.state not in OPEN:
            raise FileRefused(f"the task {task_id} is {task.state} already", 409)
        largest = min(task.parameters["maximum_bytes"], self._settings.max_file_bytes)
        if part.total > largest:
            raise FileRefused(f"the file has {part.total} bytes; at most {largest} are taken", 413)
        with self._lock:  # one part at a time: room is counted and taken together
            return self._append(agent_id, task_id, str(task.parameters["path"]), part)

    def list(self, agent_id: str = "", before: int = 0, limit: int = 100) -> list[FetchedFile]:
        """Return fetched files, the newest first."""
        query = select(table).order_by(table.c.number.desc()).limit(limit)
        if agent_id:
            query = query.where(table.c.agent_id == agent_id)
        if before:
            query = query.where(table.c.number < before)
        with self._database.read() as connection:
            return [FetchedFile(**row._mapping) for row in connection.execute(query).all()]

    def of_task(self, task_id: str) -> FetchedFile:
        """Return the file that a task fetched; raises NotKnown."""
        query = select(table).where(table.c.task_id == task_id)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NotKnown(f"the task '{task_id[:64]}' has fetched no file")
        return FetchedFile(**row._mapping)

    def content(self, file: FetchedFile) -> Iterator[bytes]:
        """Return a file's bytes, piece by piece; raises NotKnown when they are not to be had."""
        if self._shelf.size(file.sha256) is None:
            raise NotKnown(f"the bytes of {file.sha256} are not on this server")
        return self._shelf.blocks(file.sha256)

    def remove(self, task_id: str, user: str = "") -> FetchedFile:
        """Delete the file that a task fetched; returns what it was. Raises NotKnown."""
        found = self.of_task(task_id)
        with self._database.write() as connection:
            connection.execute(delete(table).where(table.c.task_id == task_id))
            record(connection, "file delete", found.sha256, f"fetched by {task_id}", user=user)
        self.sweep()
        return found

    def forget(self, before_us: int) -> int:
        """Delete the files that came before a moment; returns how many."""
        with self._database.write() as connection:
            old = delete(table).where(table.c.received_us < before_us)
            count = connection.execute(old).rowcount
        self.sweep()
        return count

    def sweep(self) -> None:
        """Delete bytes that no row tells of, and parts whose others never came."""
        with self._lock:
            with self._database.read() as connection:
                known = set(connection.execute(select(table.c.sha256)).scalars())
            for one in self._shelf.list():
                late = one.age > _PART_KEPT
                if one.name not in known and (late or not _PART.fullmatch(one.name)):
                    self._shelf.remove(one.name)

    def _append(self, agent_id: str, task_id: str, path: str, part: Part) -> int:
        name = f"part-{task_id}"
        have = self._shelf.size(name) or 0
        if part.offset == 0:
            have = 0  # the agent begins anew, perhaps because the file has changed
        if part.offset != have or have + len(part.data) > part.total:
            raise FileRefused(f"{have} of {part.total} bytes are here", 409, have)
        self._check_room(len(part.data))
        try:
            self._shelf.put(name, part.offset, part.data)
        except OSError as error:
            raise FileRefused(f"the file cannot be kept: {error.strerror}", 507) from error
        have += len(part.data)
        if have == part.total:
            self._complete(name, agent_id, task_id, path, part)
        return have

    def _check_room(self, wanted: int) -> None:
        used = sum(one.size for one in self._shelf.list())
        if used + wanted > self._settings.files_bytes:
            raise FileRefused(
                f"fetched files take {used} bytes of tasking.files_bytes="
                f"{self._settings.files_bytes}; delete some: deodar edr task file --delete",
                507,
            )

    def _complete(self, name: str, agent_id: str, task_id: str, path: str, part: Part) -> None:
        digest = _sha256(self._shelf.blocks(name))
        if digest != part.sha256:
            self._shelf.remove(name)
            raise FileRefused(f"the bytes have SHA-256 {digest}, not {part.sha256}", 400, 0)
        self._shelf.rename(name, digest)
        row = {"task_id": task_id, "agent_id": agent_id, "path": path.replace("\0", "")}
        with self._database.write() as connection:
            connection.execute(delete(table).where(table.c.task_id == task_id))
            connection.execute(
                insert(table).values(**row, size=part.total, sha256=digest, received_us=now_us())
            )
            story = f"{task_id}: {row['path']}, {part.total} bytes, SHA-256 {digest}"
            record(connection, "file fetched", agent_id, story, user=f"agent {agent_id}")

    def total(self) -> tuple[int, int]:
        """Return how many files there are, and their bytes."""
        query = select(func.count(), func.coalesce(func.sum(table.c.size), 0))
        with self._database.read() as connection:
            count, size = connection.execute(query).one()
        return int(count), int(size)


def _sha256(blocks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()
