"""Logons as wtmp and btmp have them, for hosts that keep no log that could be read.

Record layout: struct utmp of glibc on 64-bit Linux, see utmp(5).
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from deodar.agent.sensors.base import ProcessKey
from deodar.agent.sensors.logon_acts import Logon, LogonKind, LogonSign
from deodar.agent.watch.appended import Appended

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GOOD, BAD = "var/log/wtmp", "var/log/btmp"
USER_PROCESS, DEAD_PROCESS = 7, 8
RECORD = struct.Struct("<h2xi32s4s32s256s4xiii36x")
MOST_OPEN = 4096


class UtmpFiles:
    """The two files below a root folder. Used by one thread."""

    name = "utmp"

    def __init__(self, root: Path) -> None:
        self._good = Appended(root / GOOD)
        self._bad = Appended(root / BAD)
        self._open: OrderedDict[str, str] = OrderedDict()
        """Who is logged on at which terminal, as far as it was seen."""

    def exists(self) -> bool:
        """Whether there is one of the files."""
        return self._good.path.exists() or self._bad.path.exists()

    def signs(self) -> Iterator[LogonSign]:
        """Yield what is new; the first time, begins at the end and yields nothing."""
        for raw in RECORD.iter_unpack(self._good.read(RECORD.size)):
            yield from self._good_record(raw)
        for raw in RECORD.iter_unpack(self._bad.read(RECORD.size)):
            yield self._sign(raw, LogonKind.FAILED, _text(raw[4]), "authentication failure")

    def _good_record(self, raw: tuple[Any, ...]) -> Iterator[LogonSign]:
        kind, line, user = raw[0], _text(raw[2]), _text(raw[4])
        if kind == USER_PROCESS:
            self._open[line] = user
            if len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
            yield self._sign(raw, LogonKind.LOGON, user)
        elif kind == DEAD_PROCESS and (who := user or self._open.pop(line, "")):
            self._open.pop(line, None)
            yield self._sign(raw, LogonKind.LOGOFF, who)

    def _sign(
        self, raw: tuple[Any, ...], kind: LogonKind, user: str, reason: str = ""
    ) -> LogonSign:
        line, host = _text(raw[2]), _text(raw[5])
        moment = raw[7] * 1_000_000_000 + raw[8] * 1000
        key = ProcessKey(0, 0)
        service = "sshd" if line.startswith("ssh") or host else "login"
        told = Logon(
            moment, key, kind, service, user, remote_host=host,
            tty="" if line.endswith(":notty") else line, reason=reason,
        )  # fmt: skip
        return LogonSign(moment, key, self.name, told)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")
