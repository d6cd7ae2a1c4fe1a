"""User names by number, from the host's own /etc/passwd.

No name service is asked: one that hangs on the network would hang the telemetry with it.
"""

from __future__ import annotations

import time
from pathlib import Path

PASSWD = Path("/etc/passwd")


class UserNames:
    """Names of users; the file is looked at again when it has changed, at most every `ttl` s."""

    def __init__(self, passwd: Path = PASSWD, ttl: float = 2.0) -> None:
        self._passwd = passwd
        self._ttl = ttl
        self._checked = float("-inf")
        self._stamp: tuple[int, ...] = ()
        self._names: dict[int, str] = {}

    def name(self, uid: int | None) -> str:
        """Return the user's name; its number as text if it has none; "" for None."""
        if uid is None:
            return ""
        now = time.monotonic()
        if now - self._checked >= self._ttl:
            self._checked = now
            self._refresh()
        return self._names.get(uid) or str(uid)

    def _refresh(self) -> None:
        try:
            status = self._passwd.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._names = parse(self._passwd.read_bytes())
                self._stamp = stamp
        except OSError:  # replaced just now: the old names stay until the next look
            return


def parse(passwd: bytes) -> dict[int, str]:
    """Return the names of a passwd file by uid; the first of several names counts, as in libc."""
    names: dict[int, str] = {}
    for line in passwd.decode("utf-8", "replace").splitlines():
        fields = line.split(":")
        if len(fields) >= 4 and fields[0] and fields[2].isdecimal() and not line.startswith("#"):
            names.setdefault(int(fields[2]), fields[0])
    return names
