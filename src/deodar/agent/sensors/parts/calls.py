"""The part `calls`: what processes do by system calls of interest. Its C side is bpf/calls.bpf.c.

Each module of this package that is named here reads some numbers of its records.
"""

from __future__ import annotations

from deodar.agent.sensors.cpus import possible_cpus
from deodar.agent.sensors.decode import by_kind
from deodar.agent.sensors.parts import calls_kernel, calls_net, calls_reach, repeats
from deodar.agent.sensors.parts.base import Part

RING_BYTES = 1 << 19
KINDS = {**calls_reach.KINDS, **calls_kernel.KINDS, **calls_net.KINDS}
decode = by_kind({**calls_reach.DECODERS, **calls_kernel.DECODERS, **calls_net.DECODERS})
"""From (buffer, offset, length, ns from boot time to wall clock) to a record."""

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
