"""Whether systemd's journal stores every audit record too, and what to do about it.

systemd-journald-audit.socket is a netlink socket in the multicast group of audit's readers, made by
systemd and handed to the journal. The kernel lists such sockets in /proc/net/netlink; whose they
are, the links in /proc/PID/fd tell. KESL's help names the same remedy (page 245712).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC = Path("/proc")
SOCKET = "systemd-journald-audit.socket"
_PROTOCOL, _READERS = 9, 1  # NETLINK_AUDIT, AUDIT_NLGRP_READLOG as a mask
JOURNAL = "systemd-journal"

ADVICE = (
    f"the journal stores every audit record too, since {SOCKET} is active; "
    "to end that, run these and restart the host: "
    + "; ".join(f"systemctl {verb} {SOCKET}" for verb in ("stop", "disable", "mask"))
)


def advice(proc: Path = PROC) -> list[str]:
    """Return what an administrator should do, nothing when the journal takes no audit records."""
    return [ADVICE] if journal_reads(proc) else []


def journal_reads(proc: Path = PROC) -> bool:
    """Return whether systemd or its journal holds a socket for audit's readers."""
    wanted = {f"socket:[{inode}]" for inode in _readers(proc)}
    return bool(wanted) and any(_holds(folder, wanted) for folder in _suspects(proc))


def _readers(proc: Path) -> Iterator[str]:
    """Yield the inode numbers of sockets that read audit records."""
    with suppress(OSError):
        for line in (proc / "net/netlink").read_text("ascii").splitlines()[1:]:
            fields = line.split()
            if int(fields[1]) == _PROTOCOL and int(fields[3], 16) & _READERS:
                yield fields[-1]


def _suspects(proc: Path) -> Iterator[Path]:
    yield proc / "1"
    with suppress(OSError):
        for folder in proc.iterdir():
            if folder.name.isdecimal() and _name(folder) == JOURNAL:
                yield folder


def _name(folder: Path) -> str:
    try:
        return (folder / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _holds(folder: Path, wanted: set[str]) -> bool:
    with suppress(OSError):
        for descriptor in (folder / "fd").iterdir():
            with suppress(OSError):
                if os.readlink(descriptor) in wanted:  # noqa: PTH115 - no path, only like one
                    return True
    return False
