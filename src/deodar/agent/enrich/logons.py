"""From which host a user of a terminal logged on, as the system's utmp file tells.

Record layout: struct utmp of glibc on 64-bit Linux, see utmp(5). Hosts without that file (newer
systems keep logons in systemd-logind alone) give no answer.
"""

from __future__ import annotations

import struct
import time
from pathlib import Path

UTMP = Path("/run/utmp")
USER_PROCESS = 7
_RECORD = struct.Struct("=h2xi32s4s32s256s")
_RECORD_SIZE = 384
_MAXIMUM = 4096 * _RECORD_SIZE


class LogonHosts:
    """Remote hosts by terminal; the file is looked at again when it has changed."""

    def __init__(self, utmp: Path = UTMP, ttl: float = 2.0) -> None:
        self._utmp = utmp
        self._ttl = ttl
        self._checked = float("-inf")
        self._stamp: tuple[int, ...] = ()
        self._hosts: dict[str, str] = {}

    def remote_host(self, tty: str) -> str:
        """Return the host that opened the terminal's session; "" for a local or unknown one."""
        if not tty:
            return ""
        now = time.monotonic()
        if now - self._checked >= self._ttl:
            self._checked = now
            self._refresh()
        return self._hosts.get(tty, "")

    def _refresh(self) -> None:
        try:
            status = self._utmp.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                with self._utmp.open("rb") as file:
                    self._hosts = parse(file.read(_MAXIMUM))
                self._stamp = stamp
        except OSError:
            self._hosts = {}
            self._stamp = ()


def parse(utmp: bytes) -> dict[str, str]:
    """Return remote hosts by terminal for the sessions that are open in a utmp file."""
    hosts: dict[str, str] = {}
    for start in range(0, len(utmp) - _RECORD_SIZE + 1, _RECORD_SIZE):
        kind, _pid, line, _id, _user, host = _RECORD.unpack_from(utmp, start)
        if kind == USER_PROCESS and host.strip(b"\0"):
            hosts[_text(line)] = _text(host)
    return hosts


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")
