"""From recorded bytes to records; the layout of the C side; garbage."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.sensors import decode as module
from deodar.agent.sensors.base import Connection, Exec, Exit, FileIdentity, Fork, Listen, ProcessKey
from deodar.agent.sensors.decode import decode, device, ip_text, join_path, split_argv, terminal
from deodar.agent.sensors.errors import MalformedRecord
from deodar.agent.sensors.loader import read_blob

# Recorded from the programs of this blob on Linux 6.18.
FORK = bytes.fromhex(
    "020000008a16000071edcededd02000071edcededd020000802551d4dd02000089160000000000000000000000000000"
    "00000000ffffffffffffffff00000000707974686f6e00000000000000000000"
)
EXEC = bytes.fromhex(
    "010000008a16000071edcededd020000f95dd3dedd020000802551d4dd02000089160000000000000000000000000000"
    "0000000000000000fffffffffffffffff8ffffeffcffffef0000e00f010000005efb030000000000508b000000000000"
    "00f6a3b0199b161700f6a3b0199b16170100000000000000fffffffeff010000ed810000110000000a000d0008000000"
    "747275650000000000000000000000000000000000000000000000000000000000000000000000002f62696e2f747275"
    "650074727565"
    "0062696e00757372006c696200757372002f62696e2f747275650061206200ff0000"
)
EXIT = bytes.fromhex("030000008a16000071edcededd020000c164dcdedd0200000003000000000000")
LISTEN = bytes.fromhex(
    "0500000089160000802551d4dd0200000c3cdfdedd0200000000000000000200060007ab000000007f000001"
    + "00" * 28
)
INBOUND = bytes.fromhex(
    "0400000089160000802551d4dd020000fc16f7dedd0200000000000003000200060007aba6e300007f000001"
    + "00" * 12 + "7f000001" + "00" * 12
)  # fmt: skip
RECORDED = [FORK, EXEC, EXIT, LISTEN, INBOUND]
CHILD = ProcessKey(0x168A, 0x02DDDECEED71)
PARENT = ProcessKey(0x1689, 0x02DDD4512580)
OFFSET = 10**18


def read(data):
    return decode(b"pad" + data, 3, len(data), OFFSET)


def test_exec():
    record = read(EXEC)
    assert isinstance(record, Exec)
    assert record.time_ns == 0x02DDDED35DF9 + OFFSET
    assert (record.key, record.parent) == (CHILD, PARENT)
    assert record.argv == [b"/bin/true", b"a b", b"\xff", b""]
    assert (record.exe, record.cwd) == (b"/usr/bin/true", b"/usr/lib")
    assert (record.filename, record.comm, record.tty) == (b"/bin/true", b"true", "")
    assert (record.login_uid, record.session_id) == (None, None)
    assert record.inode == FileIdentity(
        os.makedev(254, 0), 260958, 35664, 1663687647000000000, 1663687647000000000
    )
    assert (record.cgroup_id, record.caps) == (1, 0x1FFFEFFFFFF)
    assert (record.mode, record.deleted) == (0o100755, False)
    assert (record.mount_ns, record.pid_ns) == (0xEFFFFFF8, 0xEFFFFFFC)


def test_fork():
    record = read(FORK)
    assert record == Fork(CHILD.start + OFFSET, CHILD, PARENT, comm=b"python")


def test_exit_splits_the_status():
    ended = read(EXIT)
    assert ended == Exit(0x02DDDEDC64C1 + OFFSET, CHILD, 3, 0, 0x02DDDEDC64C1 - CHILD.start)
    killed = bytearray(EXIT)
    killed[24:26] = b"\x8b\x00"  # SIGSEGV, with a core dump
    assert (read(bytes(killed)).exit_code, read(bytes(killed)).signal) == (0, 11)


def test_sockets():
    listen, inbound = read(LISTEN), read(INBOUND)
    assert isinstance(listen, Listen)
    assert (listen.key, listen.local_ip, listen.local_port) == (PARENT, "127.0.0.1", 0xAB07)
    assert isinstance(inbound, Connection)
    assert (inbound.direction, inbound.established) == ("inbound", True)
    assert (inbound.remote_ip, inbound.remote_port) == ("127.0.0.1", 0xE3A6)


def test_mapped_address_is_shown_as_ipv4():
    data = bytearray(INBOUND)
    data[30:32] = socket.AF_INET6.to_bytes(2, "little")
    mapped = bytes(10) + b"\xff\xff"
    data[40:56], data[56:72] = mapped + b"\x0a\0\0\1", mapped + b"\x0a\0\0\2"
    record = read(bytes(data))
    assert (record.family, record.local_ip, record.remote_ip) == (
        socket.AF_INET, "10.0.0.1", "10.0.0.2"
    )  # fmt: skip


@pytest.mark.parametrize("data", RECORDED)
def test_cut_record_is_malformed(data):
    for length in range(len(data)):
        with pytest.raises(MalformedRecord):
            decode(data[:length], 0, length, 0)


@given(st.sampled_from(RECORDED), st.data())
def test_damaged_record_is_a_record_or_malformed(data, draw):
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 6))):
        damaged[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        record = read(bytes(damaged))
    except MalformedRecord:
        return
    assert isinstance(record, Exec | Fork | Exit | Connection | Listen)


@given(st.binary(max_size=400))
def test_garbage_is_a_record_or_malformed(data):
    try:
        decode(data, 0, len(data), 0)
    except MalformedRecord:
        return
    assert data[0] in range(1, 6)


def test_formats_agree_with_the_c_structures():
    layout = read_blob("core").manifest["records"]
    assert module.HEAD.size == layout["record_head"]["bytes"]
    assert module.EXEC.size == layout["exec_record"]["fields"]["payload"]
    assert module.FORK.size == layout["fork_record"]["bytes"]
    assert module.EXIT.size == layout["exit_record"]["bytes"]
    assert module.SOCKET.size == layout["socket_record"]["bytes"]


@pytest.mark.parametrize(
    ("layout", "name", "head", "fields"),
    [
        (module.EXEC, "exec_record", 5, "payload"),
        (module.FORK, "fork_record", 5, None),
        (module.EXIT, "exit_record", 5, None),
        (module.SOCKET, "socket_record", 5, None),
    ],
)
def test_every_field_is_where_the_c_side_has_it(layout, name, head, fields):
    """Set one C field after another to 0xff and see that just this Python field changes."""
    offsets = dict(read_blob("core").manifest["records"][name]["fields"])
    offsets.pop(fields, None)
    places = sorted(offset for field, offset in offsets.items() if field != "head")
    blank = layout.unpack(bytes(layout.size))
    assert len(places) == len(blank) - head
    for number, place in enumerate(places, start=head):
        data = bytearray(layout.size)
        data[place] = 0xFF
        changed = [i for i, value in enumerate(layout.unpack(data)) if value != blank[i]]
        assert changed == [number]


def test_helpers():
    assert split_argv(b"") == []
    assert split_argv(b"a\0\0b\0") == [b"a", b"", b"b"]
    assert split_argv(b"cut\0in two") == [b"cut", b"in two"]
    assert join_path(b"", 0) == b"/"
    assert join_path(b"ls\0bin\0usr\0", 0) == b"/usr/bin/ls"
    assert join_path(b"ls\0bin\0", 1) == b".../bin/ls"
    assert [terminal(name) for name in ("pts12", "ttyS0", "", "pts")] == [
        "pts/12",
        "ttyS0",
        "",
        "pts",
    ]
    assert device(8 << 20 | 3) == os.makedev(8, 3)
    assert ip_text(socket.AF_INET6, bytes(15) + b"\1") == "::1"
    with pytest.raises(ValueError, match="family 1"):
        ip_text(1, bytes(16))
