"""A part of the BPF sensor while it is open: its programs, its ring, the settings it shares."""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING

from deodar.agent.sensors import syscall
from deodar.agent.sensors.cpus import possible_cpus
from deodar.agent.sensors.errors import MalformedRecord, SensorUnavailable
from deodar.agent.sensors.loader import load, read_blob
from deodar.agent.sensors.losses import MALFORMED, Loss
from deodar.agent.sensors.ring import Ring
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deodar.agent.sensors.base import Record
    from deodar.agent.sensors.loader import Loaded
    from deodar.agent.sensors.parts import Part
    from deodar.agent.sensors.ring import Buffer

RING_FULL = "the ring buffer was full"
RE_ENTERED = "the kernel skipped a program that was interrupted by its own event"
WAKE, OWN_PIDS = 0, 1
"""Places in the settings that the programs share with us."""
MOST_OWN_PIDS = 7
FOR_ANY = 2
"""Value of WAKE: the next record shall wake the reader, of whatever kind it is."""
MOST_SHOWN = 20
SHOWN_BYTES = 32
"""Records that cannot be decoded which are logged, and how much of each."""
_log = logger("agent.sensors")
_TALLY = struct.Struct("<QQ")


class OpenPart:
    """One part; for the thread that reads."""

    def __init__(self, part: Part, loaded: Loaded, ring_bytes: int) -> None:
        self.part = part
        self.loaded = loaded
        self.malformed = 0
        self._cpus = possible_cpus()
        self.ring = Ring.map(loaded.maps["ring"], ring_bytes)
        shared = mmap.mmap(loaded.maps["settings"], mmap.PAGESIZE)
        self._settings = memoryview(shared).cast("I")
        self._records: list[Record] = []
        self._offset = 0

    def ignore(self, pids: Iterable[int]) -> None:
        """Let the programs leave out what these processes do; at most `MOST_OWN_PIDS`."""
        wanted = [*pids][:MOST_OWN_PIDS]
        for place in range(MOST_OWN_PIDS):
            self._settings[OWN_PIDS + place] = wanted[place] if place < len(wanted) else 0

    def arm(self) -> None:
        """Let the next record wake the reader."""
        self._settings[WAKE] = FOR_ANY

    def drain(self, limit: int, offset: int, end: int | None = None) -> tuple[list[Record], int]:
        """Return up to `limit` records from the ring, and how many there were, odd ones included.

        `offset` takes boot time to wall clock; `end` is where to stop.
        """
        self._records, self._offset = [], offset
        taken = self.ring.drain(self._take, limit, end)
        return self._records, taken

    def tallies(self) -> dict[str, tuple[int, int]]:
        """Return for each kind of record how many were generated, and how many of them lost."""
        found = {}
        for kind, name in self.part.kinds.items():
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
        found[Loss(self.part.name, MALFORMED)] = self.malformed
        return found

    def close(self) -> None:
        """Detach, unmap and free everything."""
        self.ring.close()
        self._settings.release()
        self.loaded.close()

    def _take(self, buffer: Buffer, at: int, length: int) -> None:
        try:
            self._records.append(self.part.decode(buffer, at, length, self._offset))
        except MalformedRecord as error:
            self.malformed += 1
            if self.malformed <= MOST_SHOWN:
                self._show(error, bytes(buffer[at : at + min(length, SHOWN_BYTES)]))

    def _show(self, error: MalformedRecord, record: bytes) -> None:
        """Log what cannot be decoded, for whoever has to find out why."""
        part, count = self.part.name, self.malformed
        _log.warning(MALFORMED, part=part, count=count, error=str(error), begins=record.hex())


def open_part(part: Part, ring_bytes: int | None = None, own: Iterable[int] = ()) -> OpenPart:
    """Load a part, map its ring and attach it; what processes `own` do is left out from the start.

    Raises SensorUnavailable, leaving nothing behind.
    """
    size = ring_bytes or part.ring_bytes
    loaded = load(part.adapt(read_blob(part.name)), {"ring": size, **part.sizes()})
    try:
        opened = OpenPart(part, loaded, size)
    except OSError as error:
        loaded.close()
        raise SensorUnavailable(f"mapping the ring: {error.strerror}") from error
    opened.ignore(own)
    try:
        part.attach(loaded)
        part.prepare(loaded)
    except SensorUnavailable:
        opened.close()
        raise
    except OSError as error:
        opened.close()
        raise SensorUnavailable(f"filling the programs' maps: {error.strerror}") from error
    return opened
