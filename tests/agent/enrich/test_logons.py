from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.enrich.logons import LogonHosts, parse

if TYPE_CHECKING:
    from pathlib import Path

USER_PROCESS, DEAD_PROCESS = 7, 8


def record(kind: int, line: bytes, host: bytes) -> bytes:
    head = struct.pack("=h2xi32s4s32s256s", kind, 99, line, b"ts/0", b"alice", host)
    return head.ljust(384, b"\0")


def test_hosts_are_found_by_terminal() -> None:
    utmp = record(USER_PROCESS, b"pts/0", b"192.0.2.7") + record(USER_PROCESS, b"tty1", b"")
    assert parse(utmp) == {"pts/0": "192.0.2.7"}


def test_session_that_ended_is_not_told() -> None:
    assert parse(record(DEAD_PROCESS, b"pts/0", b"192.0.2.7")) == {}


@given(st.binary(max_size=1000))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    assert isinstance(parse(data), dict)


def test_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    utmp = tmp_path / "utmp"
    hosts = LogonHosts(utmp, ttl=0)
    assert hosts.remote_host("pts/0") == ""
    utmp.write_bytes(record(USER_PROCESS, b"pts/0", b"192.0.2.7"))
    assert hosts.remote_host("pts/0") == "192.0.2.7"
    utmp.write_bytes(record(USER_PROCESS, b"pts/0", b"2001:db8::1") * 2)
    assert hosts.remote_host("pts/0") == "2001:db8::1"
    assert hosts.remote_host("") == ""
    utmp.unlink()
    assert hosts.remote_host("pts/0") == ""
