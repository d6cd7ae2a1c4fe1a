"""The sensor on eBPF: processes and TCP connections, with everything read in the kernel.

The C side is bpf/core.bpf.c. Waking the reader costs the kernel ten times the event itself, so
under load a timer fetches what there is. When nothing happened for a while the reader sleeps until
the kernel wakes it: for the first record of any kind, and for the first exec after that.
"""

from __future__ import annotations

import mmap
import os
import platform
import select
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.agent.sensors import listeners, syscall
from deodar.agent.sensors.clock import WallClock
from deodar.agent.sensors.decode import KINDS, decode
from deodar.agent.sensors.errors import MalformedRecord, SensorUnavailable
from deodar.agent.sensors.loader import Loaded, load, read_blob
from deodar.agent.sensors.losses import MALFORMED, Loss, Losses
from deodar.agent.sensors.ring import Ring
from deodar.agent.sensors.waker import Waker

if TYPE_CHECKING:
    from deodar.agent.sensors.base import Record, SensorCounters
    from deodar.agent.sensors.ring import Buffer

RING_BYTES = 8 << 20
TICK = 0.02
"""Seconds between looks into the ring while there is something to fetch."""
QUIET = 0.04
"""Seconds without any record after which the reader sleeps until it is woken."""
MOMENT = 0.0005
"""Seconds for the kernel to finish a record that it is writing."""
SLEEP = 1.0
"""Seconds between looks into the ring of a quiet host, should a wake-up ever go astray."""
BATCH = 16384
LOSS_INTERVAL = 1.0
IDLE_LOSS_INTERVAL = 30.0
"""Seconds between looks at the kernel's counts of loss: after records, and without any."""
RING_FULL = "the ring buffer was full"
RE_ENTERED = "the kernel skipped a program that was interrupted by its own event"
WAKE, OWN_PID = 0, 1
"""Places in the settings that the programs share with us."""
FOR_ANY = 2
"""Value of WAKE: the next record shall wake the reader, of whatever kind it is."""
_TALLY = struct.Struct("<QQ")


class Session:
    """What is open while the sensor runs: programs, ring, shared settings, clock."""

    def __init__(self, loaded: Loaded, ring_bytes: int, own_pid: int) -> None:
        self.loaded = loaded
        self.malformed = 0
        self.ring = Ring.map(loaded.maps["ring"], ring_bytes)
        shared = mmap.mmap(loaded.maps["settings"], mmap.PAGESIZE)
        self._settings = memoryview(shared).cast("I")
        self._settings[OWN_PID] = own_pid
        self.waker = Waker()
        self._poll = select.epoll()
        self._poll.register(self.waker, select.EPOLLIN)
        # Edges only: a level would be there all the time under load, and no wait would wait.
        self._poll.register(loaded.maps["ring"], select.EPOLLIN | select.EPOLLET)
        self._clock = WallClock()
        self._cpus = possible_cpus()
        self._batch: list[Record] = []
        self._offset = 0
        self._quiet_from = 0.0
        self._armed = False

    def drain(self) -> list[Record]:
        """Return what is in the ring, at most `BATCH` records."""
        if not self.ring.waiting():
            return []
        self._batch, self._offset = [], self._clock.offset()
        if self.ring.drain(self._take, BATCH):
            self._quiet_from = time.monotonic() + QUIET
            self._armed = False
        return self._batch

    def wait(self, seconds: float) -> bool:
        """Return after a tick, or when woken if the host has been quiet, at most `seconds` later.

        Returns whether another thread wants the reading to be interrupted.
        """
        with suppress(ValueError, OSError):  # closed meanwhile
            if time.monotonic() < self._quiet_from:
                return self._sleep(min(seconds, TICK))
            self._settings[WAKE] = FOR_ANY
            if self.ring.waiting():  # came in between, or is being written just now
                time.sleep(MOMENT)
                return False
            # A program that began before WAKE was set may not see it; a tick later none is left.
            armed, self._armed = self._armed, True
            return self._sleep(min(seconds, SLEEP if armed else TICK))
        return False

    def _sleep(self, seconds: float) -> bool:
        waker = self.waker.fileno()
        woken = any(descriptor == waker for descriptor, _ in self._poll.poll(seconds, 2))
        if woken:
            self.waker.clear()
        return woken

    def tallies(self) -> dict[str, tuple[int, int]]:
        """Return for each kind of record how many were generated, and how many of them lost."""
        found = {}
        for kind, name in enumerate(KINDS[1:], start=1):
            row = syscall.lookup(
                self.loaded.maps["tallies"], struct.pack("<I", kind), _TALLY.size * self._cpus
            )
            pairs = list(_TALLY.iter_unpack(row))
            found[name] = (sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs))
        return found

    def losses(self) -> dict[Loss, int]:
        """Return how many events were lost since the start, by kind and reason."""
        found = {Loss(name, RING_FULL): lost for name, (_, lost) in self.tallies().items()}
        programs = self.loaded.programs.values()
        found[Loss("", RE_ENTERED)] = sum(syscall.program_info(fd)[3] for fd in programs)
        found[Loss("", MALFORMED)] = self.malformed
        return found

    def add_listeners(self) -> None:
        """Tell the programs who listened before they were there."""
        for endpoint, owner in listeners.find():
            with suppress(OSError):  # the kernel's own, newer entry; or the map is full
                syscall.update(self.loaded.maps["listeners"], endpoint, owner, syscall.NO_EXIST)

    def close(self) -> None:
        """Detach, unmap and free everything."""
        self.waker.set()
        self._poll.close()
        self.waker.close()
        self.ring.close()
        self._settings.release()
        self.loaded.close()

    def _take(self, buffer: Buffer, at: int, length: int) -> None:
        try:
            self._batch.append(decode(buffer, at, length, self._offset))
        except MalformedRecord:
            self.malformed += 1


class BpfSensor:
    """Watches processes and TCP with eBPF."""

    name = "bpf"
    tier = "eBPF: processes and TCP"

    def __init__(self, *, ring_bytes: int = RING_BYTES, own_pid: int | None = None) -> None:
        """`own_pid` is the process whose sockets are not reported (None: this one; 0: none)."""
        self.advice: list[str] = []
        self._ring_bytes = ring_bytes
        self._own_pid = os.getpid() if own_pid is None else own_pid
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._losses = Losses(self.name)
        self._received = 0
        self._next_look = 0.0
        self._unchecked = False
        """Whether records came since the last look at the losses."""

    @property
    def session(self) -> Session | None:
        """What is open now, for measurements; None when the sensor is not open."""
        return self._session

    def open(self) -> None:
        """Load and attach; raises SensorUnavailable with the reason."""
        check_host()
        loaded = load(read_blob("core"), {"ring": self._ring_bytes, "scratch": possible_cpus()})
        try:
            session = Session(loaded, self._ring_bytes, self._own_pid)
            loaded.attach()
            session.add_listeners()
        except OSError as error:
            loaded.close()
            raise SensorUnavailable(f"mapping the ring: {error.strerror}") from error
        except SensorUnavailable:
            session.close()
            raise
        self._session = session

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
        """Let a `read` that waits, or the next one, return at once."""
        with self._lock:
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
            self._losses.note(session.losses())
            batch += self._losses.untold()
        return batch


def check_host() -> None:
    """Look for what the programs need before trying; raises SensorUnavailable."""
    if platform.machine() != "x86_64":
        raise SensorUnavailable(f"no BPF sensor for {platform.machine()} yet, only for x86_64")
    if not Path("/sys/kernel/btf/vmlinux").exists():
        raise SensorUnavailable("this kernel has no type information (CONFIG_DEBUG_INFO_BTF)")


def possible_cpus() -> int:
    """Return one more than the highest CPU number that this machine can have."""
    text = Path("/sys/devices/system/cpu/possible").read_text(encoding="ascii")
    return int(text.strip().rpartition(",")[2].rpartition("-")[2]) + 1
