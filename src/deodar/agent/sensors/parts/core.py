"""The core part: processes, TCP connections and listeners. Its C side is bpf/core.bpf.c."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from deodar.agent.sensors import listeners, syscall
from deodar.agent.sensors.cpus import possible_cpus
from deodar.agent.sensors.decode import KINDS, decode
from deodar.agent.sensors.parts.base import Part

if TYPE_CHECKING:
    from deodar.agent.sensors.loader import Loaded

RING_BYTES = 4 << 20


def _add_listeners(loaded: Loaded) -> None:
    """Tell the programs who listened before they were there."""
    for endpoint, owner in listeners.find():
        with suppress(OSError):  # the kernel's own, newer entry; or the map is full
            syscall.update(loaded.maps["listeners"], endpoint, owner, syscall.NO_EXIST)


CORE = Part(
    name="core",
    covers="processes and TCP",
    kinds=KINDS,
    decode=decode,
    ring_bytes=RING_BYTES,
    sizes=lambda: {"scratch": possible_cpus()},
    prepare=_add_listeners,
)
