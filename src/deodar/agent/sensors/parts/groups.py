"""The part `groups`: control groups that come, go, fill, empty. C side: bpf/groups.bpf.c."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Literal

from deodar.agent.sensors.acts import CgroupChange
from deodar.agent.sensors.base import ProcessKey
from deodar.agent.sensors.errors import MalformedRecord
from deodar.agent.sensors.parts.base import Part

if TYPE_CHECKING:
    from deodar.agent.sensors.ring import Buffer

RING_BYTES = 1 << 18
KIND = 62
CHANGE = struct.Struct("<HHIQQ QHHI")
Operation = Literal["made", "removed", "populated", "emptied"]
_OPERATIONS: dict[int, Operation] = {1: "made", 2: "removed", 3: "populated", 4: "emptied"}


def decode(buffer: Buffer, at: int, length: int, offset: int) -> CgroupChange:
    """Return the record at `at`; `offset` takes boot time to wall clock. Raises MalformedRecord."""
    try:
        fields = CHANGE.unpack_from(buffer, at)
        _, _, pid, start, moment, group, number, path_bytes, _ = fields
        operation = _OPERATIONS[number]
    except (struct.error, KeyError) as error:
        raise MalformedRecord(f"{length} bytes at {at} are no change of a group") from error
    if CHANGE.size + path_bytes != length:
        raise MalformedRecord(f"{length} bytes at {at}: the path has {path_bytes} of them")
    path = bytes(buffer[at + CHANGE.size : at + length]).rstrip(b"\0")
    name = path.decode("utf-8", "backslashreplace")
    return CgroupChange(moment + offset, ProcessKey(pid, start), operation, name, group)


GROUPS = Part(
    name="groups",
    covers="control groups",
    kinds={KIND: "control group"},
    decode=decode,
    ring_bytes=RING_BYTES,
)
