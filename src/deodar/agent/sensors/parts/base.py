"""What the BPF sensor has to know about one of its parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deodar.agent.sensors.base import Record
    from deodar.agent.sensors.file_policy import FilePolicy
    from deodar.agent.sensors.loader import Blob, Loaded
    from deodar.agent.sensors.ring import Buffer


def _nothing(_loaded: Loaded) -> None:
    pass


def _always() -> bool:
    return True


def _as_it_is(blob: Blob) -> Blob:
    return blob


def _attach(loaded: Loaded) -> None:
    loaded.attach()


def _no_policy(_loaded: Loaded, _policy: FilePolicy) -> None:
    pass


def _no_records(_loaded: Loaded, _offset: int) -> list[Record]:
    return []


@dataclass(frozen=True, kw_only=True)
class Part:
    """One blob: how to load it, and how to read what it says."""

    name: str
    """Of the blob, too."""
    covers: str
    """What it sees, for people, such as "processes and TCP"."""
    kinds: Mapping[int, str]
    """Numbers of its records in the ring, as the C side has them, and what they are called."""
    decode: Callable[[Buffer, int, int, int], Record]
    """From (buffer, offset, length, ns from boot time to wall clock) to a record.

    Raises MalformedRecord.
    """
    ring_bytes: int
    """A power of two."""
    sizes: Callable[[], dict[str, int]] = field(default=dict)
    """`max_entries` of maps that depend on the machine, beside the ring."""
    needed: Callable[[], bool] = _always
    """Whether this kernel has what the part looks at; a part that is not needed is not missed."""
    adapt: Callable[[Blob], Blob] = _as_it_is
    """Fits the blob to this kernel before it is loaded; raises BlobError."""
    attach: Callable[[Loaded], None] = _attach
    """Puts the programs where they belong; raises SensorUnavailable."""
    prepare: Callable[[Loaded], None] = _nothing
    """Called once the programs are attached, to fill their maps."""
    follow: Callable[[Loaded, FilePolicy], None] = _no_policy
    """Called with what is wanted of files; may raise OSError."""
    collect: Callable[[Loaded, int], list[Record]] = _no_records
    """Called about once a second while there are records: what the programs only count.

    Gets the ns from boot time to wall clock.
    """
