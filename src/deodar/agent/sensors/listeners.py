"""Who listens on which TCP port already when the sensor starts, from /proc.

The kernel tells of a LISTEN only when it happens. So that connections to older listeners are
put down to their process too, the sensor enters them into the programs' map at the start; this
covers the network namespace of the agent.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from deodar.agent.sensors.procfs import read_stat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.agent.sensors.base import ProcessKey

LISTEN = "0A"
_ENDPOINT = struct.Struct("<IHxx16s")
_OWNER = struct.Struct("<QIxxxx")


class Listener(NamedTuple):
    """One listening socket."""

    address: bytes
    """As 16 bytes, IPv4 mapped into IPv6; all zero for any address."""
    port: int
    inode: int


def find() -> Iterator[tuple[bytes, bytes]]:
    """Yield the entries for the programs' map `listeners`: key (endpoint), value (owner)."""
    net = Path("/proc/self/ns/net").stat().st_ino
    wanted = {listener.inode: listener for listener in _listening()}
    for inode, key in _holders(set(wanted)):
        found = wanted[inode]
        yield _ENDPOINT.pack(net, found.port, found.address), _OWNER.pack(key.start, key.pid)


def parse(table: str) -> list[Listener]:
    """Return the listeners in the text of /proc/net/tcp or tcp6."""
    rows = (line.split() for line in table.splitlines()[1:])
    return [_listener(row[1], int(row[9])) for row in rows if len(row) > 9 and row[3] == LISTEN]


def _listener(local: str, inode: int) -> Listener:
    text, _, port = local.partition(":")
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    address = struct.pack(f"={len(words)}I", *words)
    if len(address) == 4:
        address = bytes(16) if not any(address) else bytes(10) + b"\xff\xff" + address
    return Listener(address, int(port, 16), inode)


def _listening() -> list[Listener]:
    found: list[Listener] = []
    for name in ("tcp", "tcp6"):
        table = Path("/proc/self/net") / name
        if table.exists():
            found += parse(table.read_text(encoding="ascii"))
    return found


def _holders(inodes: set[int]) -> Iterator[tuple[int, ProcessKey]]:
    """Yield each wanted socket with the first process that holds it open."""
    names = {f"socket:[{inode}]": inode for inode in inodes}
    for pid in sorted(int(path.name) for path in Path("/proc").glob("[0-9]*")):
        if not names:
            return
        for target in _open_files(pid):
            inode = names.pop(target, None)
            stat = read_stat(pid) if inode is not None else None
            if inode is not None and stat is not None:
                yield inode, stat.key


def _open_files(pid: int) -> Iterator[str]:
    try:
        entries = list(os.scandir(f"/proc/{pid}/fd"))
    except OSError:
        return
    for entry in entries:
        try:
            yield str(Path(entry.path).readlink())
        except OSError:
            continue
