"""Records of the part `calls` about sockets, terminals and pipes: numbers 40 to 55.

The formats here and the structures of bpf/net_records.h are two texts of one fact; a test compares
them by way of the blob's manifest.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Literal

from deodar.agent.sensors import syscall
from deodar.agent.sensors.acts import ConsoleInput, DnsMessage, RawSocket
from deodar.agent.sensors.base import Connection, Direction, Listen, ProcessKey
from deodar.agent.sensors.decode import ip_text, terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.sensors.base import Record
    from deodar.agent.sensors.loader import Loaded
    from deodar.agent.sensors.ring import Buffer

KINDS = {40: "flow", 41: "bound", 42: "raw_socket", 43: "dns", 44: "console"}
FLOW = struct.Struct("<HHIQQ I6H 16s16s")
RAW = struct.Struct("<HHIQQ 4I")
DNS = struct.Struct("<HHIQQ 4H II 16s")
CONSOLE = struct.Struct("<HHIQQ 4I Q 24s")
OUT, FAILED, IN = 1, 2, 3
COOKED, CUT, END = 1, 2, 4
SOURCES: dict[int, Literal["tty", "pipe", "socket"]] = {1: "tty", 2: "pipe", 3: "socket"}
SHELLS = (
    *("sh", "bash", "rbash", "dash", "ash", "zsh", "ksh", "ksh93", "mksh", "fish", "busybox"),
    *("python", "python2", "python3", *(f"python3.{minor}" for minor in range(6, 20))),
    *("perl", "ruby", "node", "nodejs", "php", "lua", "tclsh"),
)
"""Names of processes that run what comes in by a pipe or a socket at their standard input."""
COMM_BYTES = 16
_MAPPED = bytes(10) + b"\xff\xff"


def prepare(loaded: Loaded) -> None:
    """Tell the programs the names of shells."""
    for name in SHELLS:
        syscall.update(loaded.maps["shells"], name.encode().ljust(COMM_BYTES, b"\0"), b"\1")


def _flow(buffer: Buffer, at: int, length: int, offset: int) -> Connection | Listen:
    _expect(length, FLOW.size)
    (
        kind, _, pid, start, time, uid, direction, family, protocol, local_port, remote_port,
        error, local, remote,
    ) = FLOW.unpack_from(buffer, at)  # fmt: skip
    key, time = ProcessKey(pid, start), time + offset
    if KINDS[kind] == "bound":
        family, local_ip = _address(family, local)
        return Listen(time, key, local_ip, local_port, protocol, family, uid)
    if direction not in (OUT, FAILED, IN):
        raise ValueError(f"direction {direction}")
    remote_family, remote_ip = _address(family, remote)
    local_family, local_ip = _address(family, local)
    if local_family != remote_family:  # a socket for both families that is bound to no address
        local_ip = ip_text(remote_family, bytes(16))
    return Connection(
        time, key, "inbound" if direction == IN else "outbound", remote_family, protocol,
        local_ip, local_port, remote_ip, remote_port, uid, direction != FAILED, error,
    )  # fmt: skip


def _raw(buffer: Buffer, at: int, length: int, offset: int) -> RawSocket:
    _expect(length, RAW.size)
    _, _, pid, start, time, family, kind, protocol, _ = RAW.unpack_from(buffer, at)
    if family == socket.AF_PACKET:
        protocol = socket.ntohs(protocol & 0xFFFF)
    return RawSocket(time + offset, ProcessKey(pid, start), family, kind, protocol)


def _dns(buffer: Buffer, at: int, length: int, offset: int) -> DnsMessage:
    (
        _, _, pid, start, time, direction, family, protocol, port, _whole, kept, remote,
    ) = DNS.unpack_from(buffer, at)  # fmt: skip
    _expect(length, DNS.size + kept)
    towards: Direction = "inbound" if direction == IN else "outbound"
    payload = bytes(buffer[at + DNS.size : at + length])
    server = _address(family, remote)[1]
    return DnsMessage(
        time + offset, ProcessKey(pid, start), towards, protocol, server, port, payload
    )


def _console(buffer: Buffer, at: int, length: int, offset: int) -> ConsoleInput:
    (
        _, _, pid, start, time, source, flags, kept, _, untold, name,
    ) = CONSOLE.unpack_from(buffer, at)  # fmt: skip
    _expect(length, CONSOLE.size + kept)
    return ConsoleInput(
        time + offset,
        ProcessKey(pid, start),
        SOURCES[source],
        terminal(name.partition(b"\0")[0].decode("ascii", "replace")),
        bytes(buffer[at + CONSOLE.size : at + length]),
        flags & CUT != 0,
        flags & COOKED != 0,
        flags & END != 0,
        untold,
    )


def _address(family: int, address: bytes) -> tuple[int, str]:
    if family == socket.AF_INET6 and address[:12] == _MAPPED:
        family, address = socket.AF_INET, address[12:]
    return family, ip_text(family, address)


def _expect(length: int, wanted: int) -> None:
    if length != wanted:
        raise ValueError(f"{wanted} bytes were expected")


DECODERS: dict[int, Callable[[Buffer, int, int, int], Record]] = {
    40: _flow, 41: _flow, 42: _raw, 43: _dns, 44: _console,
}  # fmt: skip
