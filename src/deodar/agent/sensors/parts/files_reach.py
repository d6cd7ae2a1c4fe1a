"""Records of what processes take out of files: code, the content of devices, others' memory."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from deodar.agent.sensors.acts import DeviceOpen, LibraryLoad, ProcessAccess, ProcessTampering
from deodar.agent.sensors.base import ProcessKey
from deodar.agent.sensors.decode import device
from deodar.agent.sensors.parts.files_record import (
    DEVICE,
    LIBRARY,
    PROC_MEM,
    UNLINKED,
    WRITABLE,
    Fields,
    identity_of,
    key_of,
    path_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.sensors.base import Record

KINDS = {LIBRARY: "library load", DEVICE: "device open", PROC_MEM: "process memory open"}


def _library(fields: Fields, paths: bytes, time: int) -> LibraryLoad:
    unlinked = fields[1] & UNLINKED != 0
    return LibraryLoad(
        time, key_of(fields), path_of(fields, paths), identity_of(fields), fields[6], unlinked
    )


def _device(fields: Fields, paths: bytes, time: int) -> DeviceOpen:
    number = device(fields[15])
    return DeviceOpen(
        time,
        key_of(fields),
        path_of(fields, paths),
        stat.S_ISBLK(fields[6]),
        os.major(number),
        os.minor(number),
        fields[7],
    )


def _proc_mem(fields: Fields, _paths: bytes, time: int) -> ProcessAccess:
    target = ProcessKey(fields[14], fields[13])
    if fields[1] & WRITABLE:
        return ProcessTampering(time, key_of(fields), target, "proc_mem_write")
    return ProcessAccess(time, key_of(fields), target, "proc_mem_read")


DECODERS: dict[int, Callable[[Fields, bytes, int], Record]] = {
    LIBRARY: _library,
    DEVICE: _device,
    PROC_MEM: _proc_mem,
}
