"""Reaches into another process by system calls, as a program of its own: `reaching.py WAY PID`.

Prints what the call returned. The memory that is read or written is its own `LANDING` mapping's
address in a target that is a fork of it; so the target is made here when PID is 0, and printed.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
PTRACE, VM_READ, VM_WRITE, PIDFD_GETFD, PIDFD_OPEN = 101, 310, 311, 438, 434
ATTACH, SEIZE, POKE, GET_REGISTERS, SET_REGISTERS, DETACH = 16, 0x4206, 4, 12, 13, 17
PTRACE_32, VM_READ_32, VM_WRITE_32, MEMFD_32, BPF_32 = 26, 347, 348, 356, 357
SOCKET_32 = 359
SIZE = 4096
CODE = bytes.fromhex("53 55 31ed 89f8 89f3 87d1 4489c6 4489cf cd80 5d 5b c3")
"""A function that calls `int $0x80` with its arguments: number, ebx to edi; 0 in ebp."""


class Part(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("at", ctypes.c_uint64), ("size", ctypes.c_uint64))


class Reach:
    """One target, and the ways into it."""

    def __init__(self, target: int) -> None:
        low = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40  # MAP_32BIT
        self.landing = mmap.mmap(-1, SIZE, flags=low)
        self.at = ctypes.addressof(ctypes.c_char.from_buffer(self.landing))
        self.target = target or self._fork()

    def _fork(self) -> int:
        child = os.fork()
        if not child:
            libc.prctl(1, signal.SIGKILL)  # ends with this process
            while True:
                signal.pause()
        return child

    def end(self) -> None:
        os.kill(self.target, signal.SIGKILL)

    def call(self, number: int, *args: int) -> int:
        result: int = libc.syscall(*(ctypes.c_long(n) for n in (number, *args)))
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    def call_32(self, number: int, *args: int) -> int:
        code = mmap.mmap(-1, SIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(CODE)
        at = ctypes.addressof(ctypes.c_char.from_buffer(code))
        call = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint32] * 6)(at)
        result: int = call(number, *args, *[0] * (5 - len(args)))
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result

    def attach(self) -> int:
        result = self.call(PTRACE, ATTACH, self.target, 0, 0)
        os.waitpid(self.target, 0x40000000)  # __WALL
        return result

    def detach(self) -> None:
        self.call(PTRACE, DETACH, self.target, 0, 0)

    def poke(self) -> int:
        self.attach()
        results = [self.call(PTRACE, POKE, self.target, self.at + 8 * n, 0x41) for n in range(5)]
        self.detach()
        return results[0]

    def registers(self) -> int:
        self.attach()
        room = ctypes.create_string_buffer(512)
        self.call(PTRACE, GET_REGISTERS, self.target, 0, ctypes.addressof(room))
        result = self.call(PTRACE, SET_REGISTERS, self.target, 0, ctypes.addressof(room))
        self.detach()
        return result

    def seize(self) -> int:
        return self.call(PTRACE, SEIZE, self.target, 0, 0)

    def memory(self, number: int, size: int, times: int = 1) -> int:
        room = ctypes.create_string_buffer(size)
        here, there = Part(ctypes.addressof(room), size), Part(self.at, size)
        at_here, at_there = ctypes.addressof(here), ctypes.addressof(there)
        done = [self.call(number, self.target, at_here, 1, at_there, 1, 0) for _ in range(times)]
        return sum(done)

    def memory_32(self, number: int, size: int) -> int:
        rows = (ctypes.c_uint32 * 4).from_buffer(self.landing, 256)
        rows[:] = [self.at, size, self.at, size]
        at = ctypes.addressof(rows)
        return self.call_32(number, self.target, at, 1, at + 8, 1)

    def attach_32(self) -> int:
        result = self.call_32(PTRACE_32, ATTACH, self.target, 0, 0)
        os.waitpid(self.target, 0x40000000)
        self.detach()
        return result

    def memfd_32(self) -> int:
        self.landing[:6] = b"small\0"
        os.close(self.call_32(MEMFD_32, self.at, 1))
        return 0

    def bpf_32(self) -> int:
        attributes = struct.pack("<IIIIIII16s", 1, 4, 8, 16, 0, 0, 0, b"try_small")
        self.landing[: len(attributes)] = attributes
        os.close(self.call_32(BPF_32, 0, self.at, len(attributes)))
        return 0

    def raw_socket_32(self) -> int:
        os.close(self.call_32(SOCKET_32, 2, 3, 1))  # AF_INET, SOCK_RAW, ICMP
        return 0

    def getfd(self) -> int:
        pidfd = self.call(PIDFD_OPEN, self.target, 0)
        os.close(self.call(PIDFD_GETFD, pidfd, 0, 0))
        os.close(pidfd)
        return 0


def attach(reach: Reach) -> int:
    reach.attach()
    reach.detach()
    return 0


def into_itself(reach: Reach) -> int:
    other, reach.target = reach.target, os.getpid()
    size = reach.memory(VM_READ, 16) + reach.memory(VM_WRITE, 16)
    reach.target = other
    return size


def traced_by_its_wish(reach: Reach) -> int:
    child = os.fork()
    if not child:
        reach.call(PTRACE, 0, 0, 0, 0)  # PTRACE_TRACEME
        os._exit(0)
    os.waitpid(child, 0)
    return 0


WAYS: dict[str, Callable[[Reach], int]] = {
    "ptrace_attach": attach,
    "ptrace_seize": Reach.seize,
    "ptrace_poke": Reach.poke,
    "ptrace_registers": Reach.registers,
    "process_vm_readv": lambda reach: reach.memory(VM_READ, 100),
    "process_vm_writev": lambda reach: reach.memory(VM_WRITE, 100),
    "many": lambda reach: reach.memory(VM_WRITE, 10, 50),
    "pidfd_getfd": Reach.getfd,
    "ptrace_attach_32": Reach.attach_32,
    "process_vm_readv_32": lambda reach: reach.memory_32(VM_READ_32, 64),
    "process_vm_writev_32": lambda reach: reach.memory_32(VM_WRITE_32, 64),
    "memfd_create_32": Reach.memfd_32,
    "bpf_32": Reach.bpf_32,
    "raw_socket_32": Reach.raw_socket_32,
    "into_itself": into_itself,
    "traced_by_its_wish": traced_by_its_wish,
}


def main() -> None:
    way, target = sys.argv[1:]
    reach = Reach(int(target))
    try:
        result = WAYS[way](reach)
        print(reach.target, result, flush=True)
    finally:
        if not int(target):
            reach.end()


if __name__ == "__main__":
    main()
