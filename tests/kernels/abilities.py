"""What a kernel offers beyond what the sensors need today: BPF LSM, fentry, kprobes, modules.

Each is really used and its effect looked for, in a machine that is thrown away after it. Numbers
and layouts are those of the kernel's UAPI headers linux/bpf.h, linux/btf.h and linux/perf_event.h.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.agent.sensors import syscall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BTF = Path("/sys/kernel/btf/vmlinux")
KPROBES = Path("/sys/bus/event_source/devices/kprobe/type")
KPROBE, TRACING, LSM = 2, 26, 29
FENTRY, LSM_MAC = 24, 27
PERF_EVENT_OPEN = 298  # x86_64
SET_PROGRAM, ENABLE = 0x40042408, 0x2400
CLOSE_ON_EXEC = 8
FUNCTION = 12
_BEHIND = {1: 4, 3: 12, 14: 4, 17: 4}
"""Bytes behind a type of BTF, by its kind; those that depend on the number of members are below."""
_EACH = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
MODULE = "dummy"


def function_id(wanted: str, data: bytes | None = None) -> int:
    """Return a kernel function's number among the kernel's types; raises OSError if it has none."""
    data = data or BTF.read_bytes()
    head, types, _, texts, size = struct.unpack_from("<IIIII", data, 4)
    at, end = head + types, head + texts
    name = data.find(b"\0" + wanted.encode() + b"\0", end, end + size) + 1 - end
    for number in range(1, 1 << 24):
        if at >= end:
            break
        text, info = struct.unpack_from("<II", data, at)
        kind, members = info >> 24 & 0x1F, info & 0xFFFF
        if kind == FUNCTION and text == name:
            return number
        at += 12 + _BEHIND.get(kind, 0) + members * _EACH.get(kind, 0)
    raise OSError(errno.ENOENT, f"this kernel has no function {wanted} to attach to")


@contextmanager
def program(kind: int, attach_type: int, function: int, answer: int) -> Iterator[int]:
    """Load a program that only answers with a number; gives its descriptor."""
    code = syscall.buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, answer, 0x95, 0, 0, 0))
    licence = syscall.buffer(syscall.LICENSE + b"\0")
    attributes = bytearray(120)
    where = (syscall.address(code), syscall.address(licence))
    struct.pack_into("<IIQQ", attributes, 0, kind, 2, *where)
    struct.pack_into("<I", attributes, 68, attach_type)
    struct.pack_into("<I", attributes, 108, function)
    descriptor = syscall.bpf(syscall.PROG_LOAD, attributes)[0]
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def lsm() -> None:
    """Forbid every new folder for a moment, and see that it is obeyed."""
    with program(LSM, LSM_MAC, function_id("bpf_lsm_inode_mkdir"), -errno.EPERM) as loaded:
        link = syscall.attach(loaded)
        try:
            _make_folder()
        except PermissionError:
            return
        finally:
            os.close(link)
    raise OSError(errno.EINVAL, "attached, but what it forbids was done")


def fentry() -> None:
    """See that a program at a function's entry ran."""
    with program(TRACING, FENTRY, function_id("vfs_mkdir"), 0) as loaded:
        link = syscall.attach(loaded)
        try:
            _see_it_run(loaded)
        finally:
            os.close(link)


def kprobe() -> None:
    """See that a program at a kprobe ran."""
    name = syscall.buffer(b"vfs_mkdir\0")
    kind = int(KPROBES.read_text("ascii"))
    attributes = bytearray(112)
    struct.pack_into("<II", attributes, 0, kind, len(attributes))
    struct.pack_into("<Q", attributes, 56, syscall.address(name))
    block = syscall.buffer(bytes(attributes))
    libc = ctypes.CDLL(None, use_errno=True)
    event = libc.syscall(PERF_EVENT_OPEN, ctypes.byref(block), -1, 0, -1, CLOSE_ON_EXEC)
    if event < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        with program(KPROBE, 0, 0, 0) as loaded:
            fcntl.ioctl(event, SET_PROGRAM, loaded)
            fcntl.ioctl(event, ENABLE, 0)
            _see_it_run(loaded)
    finally:
        os.close(event)


def modules() -> None:
    """Load and unload a module."""
    for words in (["modprobe", MODULE], ["modprobe", "-r", MODULE]):
        ran = subprocess.run(words, capture_output=True, text=True, timeout=60)
        loaded = f"\n{MODULE} " in "\n" + Path("/proc/modules").read_text("ascii")
        if ran.returncode or loaded is ("-r" in words):
            raise OSError(errno.EINVAL, f"{' '.join(words)}: {ran.stderr.strip()}")


ABILITIES: dict[str, Callable[[], None]] = {
    "BPF LSM": lsm,
    "fentry": fentry,
    "kprobe": kprobe,
    "modules": modules,
}


def _see_it_run(loaded: int) -> None:
    statistics = syscall.enable_statistics()
    try:
        _make_folder()
        if syscall.program_info(loaded)[2] == 0:
            raise OSError(errno.EINVAL, "attached, but it did not run")
    finally:
        os.close(statistics)


def _make_folder() -> None:
    folder = Path(tempfile.gettempdir()) / f"deodar-ability-{os.getpid()}"
    folder.mkdir()
    with suppress(OSError):
        folder.rmdir()
