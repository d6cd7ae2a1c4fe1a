"""Who reads audit records: real sockets, in a process that bears the journal's name."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from deodar.agent.sensors import audit_readers
from deodar.agent.sensors.audit_readers import advice, journal_reads
from deodar.agent.sensors.netlink import listen

HEADER = (
    "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"
)
ROW = "00000000f6e044b2 {protocol} 1 {groups} 0 0 0 2 0 {inode}\n"
HOLDER = """
import ctypes, socket, sys
ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)
channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)
channel.bind((0, int(sys.argv[2])))
print("ready", flush=True)
sys.stdin.read()
"""


def held_by(name, groups):
    """Whether the journal is said to read while a process of that name holds a socket."""
    command = [sys.executable, "-c", HOLDER, name, str(groups)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"ready\n"
        found = journal_reads()
        child.communicate()
    return found


@pytest.mark.root
def test_socket_of_the_journal_is_found_and_that_of_others_is_not():
    if journal_reads():
        pytest.skip("the journal of this host reads audit records")
    assert held_by("systemd-journal", 1)
    assert not held_by("systemd-journal", 0)
    assert not held_by("auditd", 1)
    assert not journal_reads()


@pytest.mark.root
def test_our_own_socket_is_none_of_the_journal():
    before = journal_reads()
    with listen(9, 1):
        assert journal_reads() == before


def proc(tmp_path, *rows, link="socket:[4711]"):
    (tmp_path / "net").mkdir(parents=True)
    (tmp_path / "net/netlink").write_text(HEADER + "".join(rows))
    (tmp_path / "1/fd").mkdir(parents=True)
    (tmp_path / "1/comm").write_text("systemd\n")
    (tmp_path / "1/fd/30").symlink_to(link)
    return tmp_path


def test_socket_that_systemd_still_holds_for_the_journal_counts(tmp_path):
    row = ROW.format(protocol=9, groups="00000001", inode=4711)
    assert journal_reads(proc(tmp_path / "a", row))
    assert not journal_reads(proc(tmp_path / "b", row, link="socket:[4712]"))
    other = ROW.format(protocol=9, groups="00000000", inode=4711)
    assert not journal_reads(proc(tmp_path / "c", other))
    kobject = ROW.format(protocol=15, groups="00000001", inode=4711)
    assert not journal_reads(proc(tmp_path / "d", kobject))


def test_advice_names_the_three_commands(tmp_path):
    row = ROW.format(protocol=9, groups="00000001", inode=4711)
    (text,) = advice(proc(tmp_path, row))
    for verb in ("stop", "disable", "mask"):
        assert f"systemctl {verb} systemd-journald-audit.socket" in text
    assert "restart the host" in text


def test_host_without_such_files_has_no_journal(tmp_path):
    assert advice(tmp_path) == []


def test_protocol_number_is_that_of_audit():
    assert getattr(socket, "NETLINK_AUDIT", 9) == audit_readers._PROTOCOL
