"""The part `calls`: what processes do by system calls of interest. Its C side is bpf/calls.bpf.c.

Each module of this package that is named here reads some numbers of its records.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from deodar.agent.sensors.cpus import possible_cpus
from deodar.agent.sensors.errors import MalformedRecord
from deodar.agent.sensors.parts import calls_kernel, calls_net, calls_reach, repeats
from deodar.agent.sensors.parts.base import Part

if TYPE_CHECKING:
    from deodar.agent.sensors.base import Record
    from deodar.agent.sensors.ring import Buffer

RING_BYTES = 2 << 20
KINDS = {**calls_reach.KINDS, **calls_kernel.KINDS, **calls_net.KINDS}
_DECODERS = {**calls_reach.DECODERS, **calls_kernel.DECODERS, **calls_net.DECODERS}


def decode(buffer: Buffer, at: int, length: int, offset: int) -> Record:
    """Return the record of `length` bytes at `at`; `offset` takes boot time to wall clock, in ns.

    Raises MalformedRecord.
    """
    try:
        kind = buffer[at] | buffer[at + 1] << 8
        return _DECODERS[kind](buffer, at, length, offset)
    except (IndexError, KeyError, ValueError, struct.error) as error:
        raise MalformedRecord(f"{length} bytes at {at} are no record: {error}") from error


CALLS = Part(
    name="calls",
    covers="access to processes, memory files, kernel modules, eBPF, sockets, DNS, consoles",
    kinds=KINDS,
    decode=decode,
    ring_bytes=RING_BYTES,
    sizes=lambda: {"scratch": possible_cpus()},
    collect=repeats.overdue,
    prepare=calls_net.prepare,
)
