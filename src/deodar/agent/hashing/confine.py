"""How the hash process gives up what it does not need, before it reads the first foreign byte.

It keeps the files that it is handed and two sockets. Another account (nobody) where the agent may
change it, else root without a single capability; no new privileges; ceilings on files, memory and
core dumps; the lowest priority; and no system call that opens, makes, starts or connects anything.

Numbers from the kernel's uapi headers prctl.h, capability.h, seccomp.h, audit.h and ioprio.h.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys

NOBODY = 65534
NICE = 19
IDLE_CLASS = 3 << 13
MEMORY = 512 << 20
"""Bytes of address space."""
DESCRIPTORS = 16

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 1, 38, 22
SECCOMP_MODE_FILTER = 2
CAPABILITIES_VERSION_3 = 0x20080522
REFUSED = 0x00050000 | 1  # SECCOMP_RET_ERRNO with EPERM
KILLED = 0x80000000  # SECCOMP_RET_KILL_PROCESS
ALLOWED = 0x7FFF0000
LOAD, JUMP_IF_EQUAL, JUMP_IF_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
X32 = 0x40000000

MACHINES = ("x86_64", "aarch64")
AUDIT_ARCHITECTURES = (0xC000003E, 0xC00000B7)
IOPRIO_SET = (251, 30)
FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "open_by_handle_at": (304, 265),
    "creat": (85, None),
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "clone": (56, 220),
    "clone3": (435, 435),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kill": (62, 129),
    "tkill": (200, 130),
    "pidfd_open": (434, 434),
    "mount": (165, 40),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "truncate": (76, 45),
    "fchmod": (91, 52),
    "fchown": (93, 55),
}
"""System calls that fail from then on with EPERM: their numbers on x86_64 and on aarch64."""

_libc = ctypes.CDLL(None, use_errno=True)


def give_up_rights(kept: int) -> None:
    """Take the lowest priority and the least rights that the kernel lets this process have.

    Descriptors from `kept` on are closed: nothing is inherited by oversight.
    """
    os.closerange(kept, os.sysconf("SC_OPEN_MAX"))
    _lower_priority()
    for what, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, DESCRIPTORS),
        (resource.RLIMIT_AS, MEMORY),
    ):
        lower = min(limit, _limit(what))
        resource.setrlimit(what, (lower, lower))
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.geteuid() == 0:
        _become_nobody()
        _drop_capabilities()


def end_with_parent(parent: int) -> None:
    """Die at once when `parent` does, even in the middle of a read. After a change of account."""
    _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def give_up_system_calls() -> None:
    """Refuse from now on what reading files that are open already does not take."""
    machine = _machine()
    if machine is None:
        return
    numbers = [each[machine] for each in FORBIDDEN.values()]
    known = [number for number in numbers if number is not None]
    program = filter_program(AUDIT_ARCHITECTURES[machine], known)
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    _libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, 0, 0)


def filter_program(architecture: int, forbidden: list[int]) -> bytes:
    """Return a seccomp filter (classic BPF) that refuses the system calls of these numbers."""
    count = len(forbidden)
    steps = [
        (LOAD, 0, 0, 4),
        (JUMP_IF_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILLED),
        (LOAD, 0, 0, 0),
        (JUMP_IF_AT_LEAST, count + 1, 0, X32),
        *((JUMP_IF_EQUAL, count - index, 0, number) for index, number in enumerate(forbidden)),
        (RETURN, 0, 0, ALLOWED),
        (RETURN, 0, 0, REFUSED),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _limit(what: int) -> int:
    """Return the limit in force, which cannot be raised."""
    hard = resource.getrlimit(what)[1]
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def _machine() -> int | None:
    name = os.uname().machine
    return MACHINES.index(name) if name in MACHINES else None


def _lower_priority() -> None:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    except OSError:  # a sandbox that forbids it has set a priority of its own
        return
    machine = _machine()
    if machine is not None:
        _libc.syscall(IOPRIO_SET[machine], 1, 0, IDLE_CLASS)


def _become_nobody() -> None:
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:  # the service has no CAP_SETUID: root it stays, without capabilities
        return


def _drop_capabilities() -> None:
    header = struct.pack("Ii", CAPABILITIES_VERSION_3, 0)
    _libc.capset(header, bytes(24))
