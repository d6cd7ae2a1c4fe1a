"""Processes that run already when the agent starts: each is told once in a boot, with a mark.

Told in the order in which they started, parents first, a few at a time: a host with thousands must
not flood the server because its agent was updated. How far the telling has come is one number, a
start time, which outlives the agent; once all are told it follows the clock, for the sensor sees
what starts from there. An agent that was killed may tell those of its last seconds again.
"""

from __future__ import annotations

import os
import threading
import time
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from deodar.agent.age import boot_id
from deodar.agent.enrich import proc
from deodar.agent.sensors.acts import RunningProcess
from deodar.agent.threads import WatchedThread
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deodar.agent.gather.chain import Gatherer
    from deodar.agent.sensors.base import ProcessKey
    from deodar.agent.settings import AgentSettings
    from deodar.agent.watch import Put
    from deodar.kit.directory import StateDirectory

FILE = "running.json"
AT_ONCE = 2
PAUSE = 0.2
"""So many processes are told every so many seconds: ten in a second, for each program that is new
has to be hashed, and the events of what happens now wait behind it."""
MARK_EVERY = 30.0
STOP_SECONDS = 5.0
_log = logger("agent.watch.running")


class Told(msgspec.Struct, frozen=True):
    """The content of the file."""

    boot: str
    until: int
    """Processes that started before are known to the server, in ns of the boot time clock."""


class RunningWatcher:
    """Tells of the processes that were there before."""

    name = "running"
    covers = "processes that ran before"
    gatherer: Gatherer | None = None

    def __init__(self, folder: Path, pause: float = PAUSE) -> None:
        self._file = folder / FILE
        self._pause = pause
        self._boot = boot_id()
        self._until = 0
        self._stop = threading.Event()
        self._thread = WatchedThread("running", self._work)

    def open(self, put: Put) -> None:
        """Begin to tell; the sensor watches already."""
        self._put = put
        self._opened = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        told = self._read()
        self._until = told.until if told is not None and told.boot == self._boot else 0
        self._thread.start()

    def close(self) -> None:
        """Stop, and write down how far it came."""
        self._stop.set()
        self._thread.join(STOP_SECONDS)
        self._write()

    def _work(self) -> None:
        waiting = self._waiting()
        while batch := list(islice(waiting, AT_ONCE)):
            now = time.time_ns()
            self._put([RunningProcess(now, key) for key in batch])
            self._until = batch[-1].start + 1
            if self._stop.wait(self._pause):
                return
        while True:
            self._until = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            self._write()
            if self._stop.wait(MARK_EVERY):
                self._until = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                return

    def _waiting(self) -> Iterator[ProcessKey]:
        """Yield the processes that are to be told, by their start; kernel threads are not."""
        found = [
            live.key
            for live in proc.every_process()
            if self._until <= live.key.start < self._opened and (live.exe or live.argv)
        ]
        own = os.getpid()
        yield from sorted((key for key in found if key.pid != own), key=lambda key: key.start)

    def _read(self) -> Told | None:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Told)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("running processes are told again", file=str(self._file), error=str(error))
            return None

    def _write(self) -> None:
        aside = self._file.with_name(f".{self._file.name}.new")
        try:
            aside.write_bytes(msgspec.json.encode(Told(self._boot, self._until)))
            aside.chmod(0o600)
            aside.replace(self._file)
        except OSError as error:  # they are told again then
            _log.warning("how far it came could not be written down", error=str(error))


def running_watcher(_settings: AgentSettings, directory: StateDirectory) -> RunningWatcher:
    """Return one, for the registry."""
    return RunningWatcher(directory.path)
