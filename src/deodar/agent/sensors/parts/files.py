"""The part for files: changes, libraries, raw devices, other processes' memory as a file.

Its C side is bpf/files.bpf.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.sensors.cpus import possible_cpus
from deodar.agent.sensors.file_policy import FilePolicy
from deodar.agent.sensors.parts import files_counts
from deodar.agent.sensors.parts.base import Part
from deodar.agent.sensors.parts.files_decode import KINDS, decode
from deodar.agent.sensors.parts.files_policy import put_policy

if TYPE_CHECKING:
    from deodar.agent.sensors.loader import Loaded

RING_BYTES = 1 << 20


def _prepare(loaded: Loaded) -> None:
    files_counts.prepare(loaded)
    put_policy(loaded, FilePolicy())


FILES = Part(
    name="files",
    covers="files",
    kinds=KINDS,
    decode=decode,
    ring_bytes=RING_BYTES,
    sizes=lambda: {"scratch": possible_cpus()},
    prepare=_prepare,
    follow=put_policy,
    collect=files_counts.collect,
)
