"""Programs on places in a file's code, by links: many places at once where the kernel can.

Since Linux 6.6 one link serves all places of a file (BPF_TRACE_UPROBE_MULTI), for a program that
was loaded for it; before, each place takes a perf event and a link of its own. Numbers and layouts
are those of linux/bpf.h, linux/perf_event.h and /sys/bus/event_source/devices/uprobe.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import platform
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from deodar.agent.sensors import syscall
from deodar.agent.sensors.errors import BlobError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.sensors.loader import Blob

DEVICE = Path("/sys/bus/event_source/devices/uprobe")
MULTI_SINCE = (6, 6)
_LINK_CREATE = 28
_PERF_EVENT, _UPROBE_MULTI = 41, 48
"""Types of attachment."""
_MULTI_RETURN = 1
_KPROBE = 2
"""Type of the programs."""
_NAME_AT, _ATTACH_TYPE_AT = 48, 68
"""Where a program's name, and what it is to be attached to, are in what PROG_LOAD takes."""
_NUMBERS = {"x86_64": 298, "aarch64": 241}
_ATTRIBUTES = struct.Struct("<IIQQQQQIIQQ56x")  # struct perf_event_attr, up to 128 bytes
_CLOSE_ON_EXEC = 8
_libc = ctypes.CDLL(None, use_errno=True)


class Place(NamedTuple):
    """A function in a file, and the cookie by which the program knows it."""

    offset: int
    cookie: int


def has_multi() -> bool:
    """Whether this kernel takes many places in one link."""
    return tuple(map(int, re.findall(r"\d+", platform.release())[:2])) >= MULTI_SINCE


def for_this_kernel(blob: Blob) -> Blob:
    """Return a blob whose programs are loaded for the links that this kernel has.

    libbpf's skeleton leaves them for single places. Raises BlobError for a blob of another make.
    """
    if not has_multi():
        return blob
    data = bytearray(blob.data)
    for name in blob.manifest["context"]["programs"]:
        struct.pack_into("<I", data, _attributes_of(blob, name) + _ATTACH_TYPE_AT, _UPROBE_MULTI)
    return dataclasses.replace(blob, data=bytes(data))


def link(program: int, path: Path, places: Sequence[Place], *, returns: bool) -> list[int]:
    """Run a program when the code at these places runs, or `returns`; returns the links.

    Raises OSError, having made none.
    """
    if has_multi():
        return [_link_all(program, path, places, returns=returns)]
    links: list[int] = []
    try:
        links.extend(_link_one(program, path, place, returns=returns) for place in places)
    except OSError:
        for one in links:
            os.close(one)
        raise
    return links


def _attributes_of(blob: Blob, name: str) -> int:
    """Return where in the data is what PROG_LOAD takes for a program."""
    wanted = name.encode()[:15] + b"\0"
    for found in re.finditer(re.escape(wanted), blob.data):
        at = found.start() - _NAME_AT
        if at >= 0 and struct.unpack_from("<I", blob.data, at)[0] == _KPROBE:
            return at
    raise BlobError(f"the BPF blob {blob.name} holds no program {name}; install again")


def _link_all(program: int, path: Path, places: Sequence[Place], *, returns: bool) -> int:
    name = syscall.buffer(os.fsencode(path) + b"\0")
    form = f"<{len(places)}Q"
    offsets = syscall.buffer(struct.pack(form, *(place.offset for place in places)))
    cookies = syscall.buffer(struct.pack(form, *(place.cookie for place in places)))
    attributes = struct.pack(
        "<4I4Q3I4x", program, 0, _UPROBE_MULTI, 0, syscall.address(name),
        syscall.address(offsets), 0, syscall.address(cookies), len(places),
        _MULTI_RETURN if returns else 0, 0,
    )  # fmt: skip
    return syscall.bpf(_LINK_CREATE, attributes)[0]


def _link_one(program: int, path: Path, place: Place, *, returns: bool) -> int:
    name = syscall.buffer(os.fsencode(path) + b"\0")
    kind = int((DEVICE / "type").read_text("ascii"))
    attributes = syscall.buffer(
        _ATTRIBUTES.pack(
            kind, _ATTRIBUTES.size, int(returns), 0, 0, 0, 0, 0, 0, syscall.address(name),
            place.offset,
        )
    )  # fmt: skip
    number = _NUMBERS[platform.machine()]
    event = _libc.syscall(number, ctypes.byref(attributes), -1, 0, -1, _CLOSE_ON_EXEC)
    if event < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    try:
        wanted = struct.pack("<4IQ", program, event, _PERF_EVENT, 0, place.cookie)
        return syscall.bpf(_LINK_CREATE, wanted)[0]  # the link keeps the event
    finally:
        os.close(event)
