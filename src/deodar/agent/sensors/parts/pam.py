"""The part `pam`: what is asked of libpam, and how it answers. Its C side is bpf/pam.bpf.c.

Its programs are on the functions of every copy of libpam that a process of this host could call:
the host's own and, looked for again and again, those of containers. What it reads of a PAM handle
has the same place in every Linux-PAM 1.x; a handle that looks otherwise gives a malformed record,
which is counted and told.
"""

from __future__ import annotations

import os
import re
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.agent.sensors.base import NOT_SET, ProcessKey, Record
from deodar.agent.sensors.errors import MalformedRecord, SensorUnavailable
from deodar.agent.sensors.logon_acts import PamCall, PamFunction
from deodar.agent.sensors.parts.base import Part
from deodar.agent.sensors.probe_links import for_this_kernel
from deodar.agent.sensors.probes import MOST_FILES, FileKey, Probes, check_kernel

if TYPE_CHECKING:
    from deodar.agent.sensors.loader import Loaded
    from deodar.agent.sensors.ring import Buffer

RING_BYTES = 1 << 18
KIND = 56
CALL = struct.Struct("<HHIQQ IiIIII 64s128s256s64s64s")
CALLED = {
    "pam_authenticate": PamFunction.AUTHENTICATE,
    "pam_acct_mgmt": PamFunction.ACCOUNT,
    "pam_open_session": PamFunction.OPEN_SESSION,
    "pam_close_session": PamFunction.CLOSE_SESSION,
}
COME_BACK = {name: number for name, number in CALLED.items() if name != "pam_close_session"}
"""Functions whose call, and whose return, is seen; a session is over when its end begins."""
LIBRARIES = (
    "usr/lib/x86_64-linux-gnu/libpam.so.0",
    "usr/lib64/libpam.so.0",
    "lib/x86_64-linux-gnu/libpam.so.0",
    "lib64/libpam.so.0",
    "usr/lib/libpam.so.0",
    "lib/libpam.so.0",
)
"""Where distributions keep it, below the root of the host or of a container."""
LOOK_EVERY = 10.0
"""Seconds between two looks for containers and for copies that an update brought."""
MOST_ROOTS = 256
"""Mount namespaces that are looked into."""
PROC = Path("/proc")
_SERVICE = re.compile(rb"[!-~]{1,63}$")


def decode(buffer: Buffer, at: int, length: int, offset: int) -> PamCall:
    """Return the record at `at`; `offset` takes boot time to wall clock. Raises MalformedRecord."""
    if length != CALL.size:
        raise MalformedRecord(f"{length} bytes at {at} are no call of libpam")
    fields = CALL.unpack_from(buffer, at)
    _, _, pid, start, moment, function, result, uid, login_uid, session_id, _ = fields[:11]
    service, user, rhost, ruser, tty = (text.split(b"\0", 1)[0] for text in fields[11:])
    if not _SERVICE.match(service):
        raise MalformedRecord(f"process {pid}: the PAM handle is laid out in an unknown way")
    try:
        name = PamFunction(function)
    except ValueError as error:
        raise MalformedRecord(f"no function of libpam: {function}") from error
    return PamCall(
        moment + offset, ProcessKey(pid, start), name, result, _text(service), _text(user),
        _text(rhost), _text(ruser), _text(tty).removeprefix("/dev/"), uid,
        _optional(login_uid), _optional(session_id),
    )  # fmt: skip


class Libraries:
    """Finds the copies of libpam; remembers when it looked."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._next = 0.0

    def due(self) -> bool:
        """Whether it is time to look again; then the next time is set."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + LOOK_EVERY
        return True

    def find(self) -> dict[FileKey, Path]:
        """Return the copies that processes could call, by device and inode."""
        found: dict[FileKey, Path] = {}
        for root in (Path("/"), *self._roots()):
            for name in LIBRARIES:
                with suppress(OSError):
                    path = root / name
                    status = path.stat()
                    found.setdefault((status.st_dev, status.st_ino), path)
            if len(found) >= MOST_FILES:
                break
        return found

    def _roots(self) -> list[Path]:
        """Return the root folder of one process of each mount namespace."""
        seen: dict[str, Path] = {}
        for name in os.listdir(self._proc):  # noqa: PTH208 - twice as fast, and often done
            if name.isdecimal() and len(seen) < MOST_ROOTS:
                with suppress(OSError):
                    space = os.readlink(f"{self._proc}/{name}/ns/mnt")  # noqa: PTH115 - the same
                    seen.setdefault(space, self._proc / name / "root")
        return list(seen.values())


_libraries = Libraries()


def _attach(loaded: Loaded) -> None:
    """Probe every copy; raises SensorUnavailable when there is none, or none can be probed."""
    check_kernel()
    probes = loaded.probes = Probes(loaded.programs, CALLED, COME_BACK)
    wanted = _libraries.find()
    if not wanted:
        raise SensorUnavailable("no program here uses PAM: there is no libpam.so.0")
    probes.keep(wanted)
    if not probes.files:
        raise SensorUnavailable(next(iter(probes.problems.values())))


def _look_again(loaded: Loaded, _offset: int) -> list[Record]:
    if loaded.probes is not None and _libraries.due():
        loaded.probes.keep_aside(_libraries.find)
    return []


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _optional(value: int) -> int | None:
    return None if value == NOT_SET else value


PAM = Part(
    name="pam",
    covers="logons",
    kinds={KIND: "logon"},
    decode=decode,
    ring_bytes=RING_BYTES,
    adapt=for_this_kernel,
    attach=_attach,
    collect=_look_again,
)
