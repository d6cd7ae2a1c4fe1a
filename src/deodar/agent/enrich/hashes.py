"""MD5 and SHA-256 of program files, in one read, with a cache.

A file is found again by device, inode, size, modification and change time, never by name alone:
what was opened is compared with what the kernel executed. Reading happens in threads of its own
with a limit on how long an event waits for it, so that a huge file, or a network file system that
hangs, delays events but never stops them.
"""

from __future__ import annotations

import hashlib
import os
import queue
import stat
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deodar.agent.enrich.statx import birth_time_ns
from deodar.agent.sensors.base import FileIdentity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.settings import HashSettings

CHUNK = 1 << 18
FIRST_BYTES = 4
WORKERS = 2
WAITING = 16
ELF_MAGIC = b"\x7fELF"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is said about a file: sizes in bytes, times in µs since the epoch, hashes in hex."""

    size: int
    created_us: int | None
    """None where the file system keeps no time of birth."""
    modified_us: int
    is_elf: bool
    md5: str = ""
    """"" when the file was not hashed."""
    sha256: str = ""


class _Job:
    """One file that a worker reads."""

    __slots__ = ("descriptor", "done", "facts", "identity")

    def __init__(self, identity: FileIdentity, descriptor: int) -> None:
        self.identity = identity
        self.descriptor = descriptor
        self.facts: FileFacts | None = None
        self.done = threading.Event()


class FileHasher:
    """Facts about files, hashed once per content. Used by one thread; reads in others."""

    def __init__(self, settings: HashSettings) -> None:
        self._settings = settings
        self._cache: OrderedDict[FileIdentity, FileFacts] = OrderedDict()
        self._running: dict[FileIdentity, _Job] = {}
        self._jobs: queue.Queue[_Job] = queue.Queue(WAITING)
        self._workers: list[threading.Thread] = []
        self.hits = self.misses = self.timeouts = self.failures = 0

    def facts(self, identity: FileIdentity | None, paths: Sequence[str]) -> FileFacts | None:
        """Return the facts about a file, opened at the first of `paths` that leads to it.

        With `identity` None, the first path that opens is believed. The hashes are empty when the
        file is too large, hashing is off, or reading took longer than an event may wait. Returns
        None when no path leads to the file any more.
        """
        known = self._known(identity) if identity is not None else None
        if known is not None:
            return known
        opened = _open_first(identity, paths)
        if opened is None:
            self.failures += 1
            return None
        return self._of_open_file(*opened)

    def _known(self, identity: FileIdentity) -> FileFacts | None:
        found = self._cache.get(identity)
        if found is not None:
            self._cache.move_to_end(identity)
            self.hits += 1
            return found
        job = self._running.get(identity)
        if job is None or not job.done.is_set():
            return None
        del self._running[identity]
        return self._keep(identity, job.facts) if job.facts is not None else None

    def _of_open_file(self, descriptor: int, identity: FileIdentity) -> FileFacts:
        known = self._known(identity)
        if known is not None or identity in self._running:  # still being read: nobody waits twice
            facts = known or describe(descriptor)
            os.close(descriptor)
            return facts
        self.misses += 1
        plain = describe(descriptor)
        if not self._settings.enabled or plain.size > self._settings.maximum_file_bytes:
            os.close(descriptor)
            return self._keep(identity, plain)
        return self._read(_Job(identity, descriptor)) or plain

    def _read(self, job: _Job) -> FileFacts | None:
        self._start_workers()
        try:
            self._jobs.put_nowait(job)
        except queue.Full:  # every worker hangs
            os.close(job.descriptor)
            self.timeouts += 1
            return None
        if job.done.wait(self._settings.maximum_wait):
            return self._keep(job.identity, job.facts) if job.facts is not None else None
        self.timeouts += 1
        self._running[job.identity] = job
        return None

    def _keep(self, identity: FileIdentity, facts: FileFacts) -> FileFacts:
        self._cache[identity] = facts
        if len(self._cache) > self._settings.cache_entries:
            self._cache.popitem(last=False)
        return facts

    def _start_workers(self) -> None:
        while len(self._workers) < WORKERS:  # daemons: one that hangs must not hold up the exit
            worker = threading.Thread(target=_work, args=(self._jobs,), name="hash", daemon=True)
            worker.start()
            self._workers.append(worker)


def describe(descriptor: int, md5: str = "", sha256: str = "") -> FileFacts:
    """Return the facts about an open file, with the hashes given."""
    status = os.fstat(descriptor)
    try:
        first = os.pread(descriptor, FIRST_BYTES, 0)
    except OSError:
        first = b""
    born = birth_time_ns(descriptor)
    return FileFacts(
        size=status.st_size,
        created_us=born // 1000 if born is not None else None,
        modified_us=status.st_mtime_ns // 1000,
        is_elf=first == ELF_MAGIC,
        md5=md5,
        sha256=sha256,
    )


def identity_of(status: os.stat_result) -> FileIdentity:
    """Return what tells this content of a file from another."""
    return FileIdentity(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def _work(jobs: queue.Queue[_Job]) -> None:
    while True:
        job = jobs.get()
        try:
            job.facts = _hash(job)
        except OSError:
            job.facts = None
        finally:
            os.close(job.descriptor)
            job.done.set()


def _hash(job: _Job) -> FileFacts | None:
    md5 = hashlib.md5(usedforsecurity=False)
    sha256 = hashlib.sha256()
    offset = 0
    while block := os.pread(job.descriptor, CHUNK, offset):
        md5.update(block)
        sha256.update(block)
        offset += len(block)
    if identity_of(os.fstat(job.descriptor)) != job.identity:  # written to while it was read
        return None
    return describe(job.descriptor, md5.hexdigest(), sha256.hexdigest())


def _open_first(
    identity: FileIdentity | None, paths: Sequence[str]
) -> tuple[int, FileIdentity] | None:
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except (OSError, ValueError):
            continue
        status = os.fstat(descriptor)
        found = identity_of(status)
        if stat.S_ISREG(status.st_mode) and (identity is None or _same(found, identity)):
            return descriptor, identity or found
        os.close(descriptor)
    return None


def _same(found: FileIdentity, wanted: FileIdentity) -> bool:
    # Not the device: btrfs and overlayfs show another one to stat than the kernel has inside.
    return found[1:] == wanted[1:]
