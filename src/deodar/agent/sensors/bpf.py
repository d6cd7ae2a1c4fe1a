"""The sensor on eBPF, with everything read in the kernel.

It consists of parts, each with a blob and a ring of its own (`deodar.agent.sensors.parts`; their C
side is in bpf/). Waking the reader costs the kernel ten times the event itself, so under load a
timer fetches what there is. When nothing happened for a while the reader sleeps until the kernel
wakes it: for the first record of any kind, and for the first exec after that.
"""

from __future__ import annotations

import os
import platform
import select
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.agent.sensors.clock import WallClock
from deodar.agent.sensors.errors import SensorError, SensorUnavailable
from deodar.agent.sensors.losses import Losses
from deodar.agent.sensors.open_part import OpenPart, open_part
from deodar.agent.sensors.parts import PARTS
from deodar.agent.sensors.waker import Waker
from deodar.agent.threads import until_look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.sensors.base import Record, SensorCounters
    from deodar.agent.sensors.file_policy import FilePolicy
    from deodar.agent.sensors.loader import Loaded
    from deodar.agent.sensors.losses import Loss
    from deodar.agent.sensors.parts import Part

TICK = 0.02
"""Seconds between looks into the rings while there is something to fetch."""
QUIET = 0.04
"""Seconds without any record after which the reader sleeps until it is woken."""
MOMENT = 0.0005
"""Seconds for the kernel to finish a record that it is writing."""
SLEEP = 4.0
"""Seconds between looks into the rings of a quiet host, should a wake-up ever go astray."""
BATCH = 16384
LOSS_INTERVAL = 1.0
IDLE_LOSS_INTERVAL = 30.0
"""Seconds between looks at the kernel's counts: after records, and without any."""


class Session:
    """What is open while the sensor runs: the parts, and the wait for them."""

    def __init__(self, parts: Sequence[OpenPart]) -> None:
        self.parts = parts
        self.waker = Waker()
        self._poll = select.epoll()
        self._poll.register(self.waker, select.EPOLLIN)
        for part in parts:
            # Edges only: a level would be there all the time under load, and no wait would wait.
            self._poll.register(part.loaded.maps["ring"], select.EPOLLIN | select.EPOLLET)
        self._clock = WallClock()
        self._quiet_from = 0.0
        self._armed = False

    @property
    def loaded(self) -> Loaded:
        """What the core part made in the kernel."""
        return self.parts[0].loaded

    def drain(self) -> list[Record]:
        """Return what is in the rings, in the order of time; at most `BATCH` of each.

        Of the other rings only what was there before the first one was emptied: a process is
        known before what it did.
        """
        if not self._is_waiting():
            return []
        ends = [part.ring.written for part in self.parts]
        offset = self._clock.offset()
        records, taken = self.parts[0].drain(BATCH, offset)
        more = False
        if taken < BATCH:
            for part, end in zip(self.parts[1:], ends[1:], strict=True):
                found, number = part.drain(BATCH, offset, end)
                records += found
                taken += number
                more = more or number > 0
        if taken:
            self._quiet_from = time.monotonic() + QUIET
            self._armed = False
        if more:
            records.sort(key=_time)
        return records

    def wait(self, seconds: float) -> bool:
        """Return after a tick, or when woken if the host has been quiet, at most `seconds` later.

        Returns whether another thread wants the reading to be interrupted.
        """
        with suppress(ValueError, OSError):  # closed meanwhile
            if time.monotonic() < self._quiet_from:
                return self._sleep(min(seconds, TICK))
            for part in self.parts:
                part.arm()
            if self._is_waiting():  # came in between, or is being written just now
                time.sleep(MOMENT)
                return False
            # A program that began before WAKE was set may not see it; a tick later none is left.
            armed, self._armed = self._armed, True
            return self._sleep(min(seconds, until_look(SLEEP) if armed else TICK))
        return False

    def tallies(self) -> dict[str, tuple[int, int]]:
        """Return for each kind of record how many were generated, and how many of them lost."""
        return {name: pair for part in self.parts for name, pair in part.tallies().items()}

    def losses(self) -> dict[Loss, int]:
        """Return how many events were lost since the start, by kind and reason."""
        totals: dict[Loss, int] = {}
        for part in self.parts:
            for loss, count in part.losses().items():
                totals[loss] = totals.get(loss, 0) + count
        return totals

    def collect(self) -> list[Record]:
        """Return what the parts' programs only counted."""
        offset = self._clock.offset()
        found: list[Record] = []
        for part in self.parts:
            found += part.part.collect(part.loaded, offset)
        return found

    def close(self) -> None:
        """Detach, unmap and free everything."""
        self.waker.set()
        self._poll.close()
        self.waker.close()
        for part in self.parts:
            part.close()

    def _is_waiting(self) -> bool:
        return any(part.ring.waiting() for part in self.parts)

    def _sleep(self, seconds: float) -> bool:
        waker = self.waker.fileno()
        found = self._poll.poll(seconds, 1 + len(self.parts))
        woken = any(descriptor == waker for descriptor, _ in found)
        if woken:
            self.waker.clear()
        return woken


class BpfSensor:
    """Watches the host with eBPF."""

    name = "bpf"

    def __init__(
        self,
        *,
        ring_bytes: int | None = None,
        own_pid: int | None = None,
        parts: Sequence[Part] = PARTS,
    ) -> None:
        """`own_pid` is the process whose acts are not reported (None: this one; 0: none).

        `ring_bytes` is the size of every ring, for tests; None for each part's own.
        """
        self.advice: list[str] = []
        self.refused: list[tuple[str, str]] = []
        """Parts that the kernel did not take, and why."""
        self._wanted = parts
        self._ring_bytes = ring_bytes
        self._own_pids = [os.getpid() if own_pid is None else own_pid]
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._losses = Losses(self.name)
        self._received = 0
        self._next_look = 0.0
        self._unchecked = False
        """Whether records came since the last look at the losses."""

    @property
    def sources(self) -> list[str]:
        """The parts that are open."""
        session = self._session
        parts = session.parts if session is not None else ()
        return [f"{self.name}/{part.part.name}" for part in parts]

    @property
    def tier(self) -> str:
        """What it covers, for people."""
        session = self._session
        parts = session.parts if session is not None else ()
        return f"eBPF: {', '.join(part.part.covers for part in parts)}"

    @property
    def session(self) -> Session | None:
        """What is open now, for measurements; None when the sensor is not open."""
        return self._session

    def open(self) -> None:
        """Load and attach the parts; raises SensorUnavailable when the first cannot be had."""
        check_host()
        self.refused = []
        opened = [open_part(self._wanted[0], self._ring_bytes, self._own_pids)]
        for part in self._wanted[1:]:
            if not part.needed():
                continue
            try:
                opened.append(open_part(part, self._ring_bytes, self._own_pids))
            except SensorError as error:
                self.refused.append((f"{self.name}/{part.name}", str(error)))
        self._session = Session(opened)

    def follow(self, policy: FilePolicy) -> None:
        """Tell, count and leave out changes of files as wanted. For any thread; raises OSError."""
        with self._lock:
            if self._session is not None:
                for part in self._session.parts:
                    part.part.follow(part.loaded, policy)

    def ignore(self, pid: int) -> None:
        """Leave out what another process of the agent does. For any thread."""
        with self._lock:
            self._own_pids = [*self._own_pids, pid]
            if self._session is not None:
                for part in self._session.parts:
                    part.ignore(self._own_pids)

    def read(self, timeout: float) -> list[Record]:
        """Wait up to `timeout` seconds for records; returns a batch, [] on timeout or if closed."""
        deadline = time.monotonic() + timeout
        while True:
            with self._lock:
                session = self._session
                batch = self._fetch(session) if session else []
            left = deadline - time.monotonic()
            if batch or left <= 0 or session is None or session.wait(left):
                return batch

    def interrupt(self) -> None:
        """Let a `read` that waits, or the next one, return at once.

        The next one that finds time to look gives what the programs counted, too.
        """
        with self._lock:
            self._next_look, self._unchecked = 0.0, True
            if self._session is not None:
                self._session.waker.set()

    def counters(self) -> SensorCounters:
        """Totals since `open`, as of now; as of the last look when the sensor is closed."""
        with self._lock:
            if self._session is not None:
                self._losses.note(self._session.losses())
            return self._losses.counters(self._received)

    def close(self) -> None:
        """Stop watching; nothing stays in the kernel."""
        with self._lock:
            if self._session is not None:
                self._losses.note(self._session.losses())
                self._session.close()
            self._session = None

    def _fetch(self, session: Session) -> list[Record]:
        batch = session.drain()
        self._received += len(batch)
        self._unchecked = self._unchecked or bool(batch)
        now = time.monotonic()
        if now >= self._next_look + (0.0 if self._unchecked else IDLE_LOSS_INTERVAL):
            self._next_look, self._unchecked = now + LOSS_INTERVAL, False
            batch += session.collect()
            self._losses.note(session.losses())
            batch += self._losses.untold()
        return batch


def check_host() -> None:
    """Look for what the programs need before trying; raises SensorUnavailable."""
    if platform.machine() != "x86_64":
        raise SensorUnavailable(f"no BPF sensor for {platform.machine()} yet, only for x86_64")
    if not Path("/sys/kernel/btf/vmlinux").exists():
        raise SensorUnavailable("this kernel has no type information (CONFIG_DEBUG_INFO_BTF)")


def _time(record: Record) -> int:
    return record.time_ns
