"""Logons in a whole system, with sshd, sudo and su, are in tests/e2e/test_logons.py."""

from __future__ import annotations

import ctypes
import json
import struct
import subprocess
import sys
from importlib import resources

import pytest
from tests.agent.sensors.conftest import needs_programs

from deodar.agent.sensors.base import ProcessKey
from deodar.agent.sensors.bpf import BpfSensor
from deodar.agent.sensors.errors import MalformedRecord
from deodar.agent.sensors.logon_acts import PamCall, PamFunction
from deodar.agent.sensors.parts.core import CORE
from deodar.agent.sensors.parts.pam import CALL, PAM, Libraries, decode

HANDLE = """
import ctypes, sys
pam, handle, conversation = ctypes.CDLL("libpam.so.0"), ctypes.c_void_p(), (ctypes.c_void_p * 2)()
assert pam.pam_start(b"su", b"anna", conversation, ctypes.byref(handle)) == 0
pam.pam_set_item.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
for item, text in ((3, b"pts/0"), (4, b"192.0.2.1"), (8, b"bruno")):
    assert pam.pam_set_item(handle, item, text) == 0
words = (ctypes.c_uint64 * 10).from_address(handle.value)
print(*(ctypes.string_at(words[place]).decode() for place in range(5, 10)))
"""


def record(**changes) -> bytes:
    fields = {
        "kind": 56, "flags": 0, "pid": 7, "start": 11, "time": 100, "function": 3, "result": -1,
        "uid": 1000, "login_uid": 0xFFFFFFFF, "session_id": 5, "reserved": 0, "service": b"sshd",
        "user": "zoë".encode(), "rhost": b"192.0.2.1", "ruser": b"", "tty": b"/dev/pts/3",
    }  # fmt: skip
    return CALL.pack(*(fields | changes).values())


def test_a_record_is_decoded():
    call = decode(record(), 0, CALL.size, 1000)
    assert call == PamCall(
        1100, ProcessKey(7, 11), PamFunction.OPEN_SESSION, -1, "sshd", "zoë", "192.0.2.1",
        "", "pts/3", 1000, None, 5,
    )  # fmt: skip


@pytest.mark.parametrize(
    "changes", [{"service": b""}, {"service": b"s\x01\xff"}, {"function": 9}, {"function": 0}]
)
def test_a_handle_that_looks_otherwise_is_refused(changes):
    with pytest.raises(MalformedRecord):
        decode(record(**changes), 0, CALL.size, 0)


def test_a_record_of_another_length_is_refused():
    with pytest.raises(MalformedRecord):
        decode(record(), 0, CALL.size - 8, 0)


def test_both_sides_agree_on_the_layout():
    text = (resources.files("deodar.agent.sensors") / "blobs/pam.json").read_bytes()
    layout = json.loads(text)["records"]["pam_record"]
    assert layout["bytes"] == CALL.size
    codes = "HHIQQIiIIIIsssss"
    offsets, at = [], 0
    for code, length in zip(codes, [1] * 11 + [64, 128, 256, 64, 64], strict=True):
        offsets.append(at)
        at += struct.calcsize(f"<{length}{code}")
    assert sorted(layout["fields"].values())[1:] == offsets[5:]


def test_the_handle_of_this_libpam_is_laid_out_as_expected():
    try:
        ctypes.CDLL("libpam.so.0")
    except OSError:
        pytest.skip("this host has no libpam")
    ran = subprocess.run([sys.executable, "-c", HANDLE], capture_output=True, text=True, timeout=20)
    assert ran.stdout == "su anna 192.0.2.1 bruno pts/0\n", ran.stderr


def test_each_copy_of_the_library_is_found_once():
    found = Libraries().find()
    keys = {(path.stat().st_dev, path.stat().st_ino) for path in found.values()}
    assert keys == set(found)


def test_it_is_looked_for_now_and_then():
    libraries = Libraries()
    assert libraries.due()
    assert not libraries.due()


@pytest.fixture
def pam():
    sensor = BpfSensor(own_pid=0, parts=(CORE, PAM))
    sensor.open()
    if sensor.refused:
        sensor.close()
        pytest.skip(f"the part pam is refused here: {sensor.refused}")
    yield sensor
    sensor.close()


def calls_of(records, pid: int) -> list[tuple[PamFunction, int]]:
    return [(r.function, r.result) for r in records if isinstance(r, PamCall) and r.key.pid == pid]


def session_of_su(sensor, collect) -> list[int]:
    """Open and close a session; returns the functions of libpam that were called well."""
    su = subprocess.Popen(["su", "-s", "/bin/sh", "-c", "true", "nobody"])
    assert su.wait(20) == 0
    records = collect(sensor, lambda found: len(calls_of(found, su.pid)) >= 4)
    return [int(function) for function, result in calls_of(records, su.pid) if result == 0]


@pytest.mark.root
@needs_programs
def test_a_session_of_su_is_seen_from_its_start_to_its_end(pam, collect):
    su = subprocess.Popen(["su", "-s", "/bin/sh", "-c", "true", "nobody"])
    assert su.wait(20) == 0
    records = collect(pam, lambda found: len(calls_of(found, su.pid)) >= 4)
    assert calls_of(records, su.pid) == [(PamFunction(number), 0) for number in (1, 2, 3, 4)]
    one = next(r for r in records if isinstance(r, PamCall) and r.key.pid == su.pid)
    assert (one.service, one.user, one.asking_user, one.uid) == ("su", "nobody", "root", 0)
    assert one.key.start > 0


@pytest.mark.root
@needs_programs
def test_a_wrong_password_is_seen_with_the_answer(pam, collect):
    su = subprocess.Popen(
        ["setpriv", "--reuid=nobody", "--clear-groups", "su", "-c", "true", "root"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    su.communicate(b"not-the-password\n", timeout=30)
    assert su.returncode != 0
    records = collect(pam, lambda found: calls_of(found, su.pid))
    (call,) = (r for r in records if isinstance(r, PamCall) and r.key.pid == su.pid)
    assert (call.function, call.result) == (PamFunction.AUTHENTICATE, 7)
    assert (call.user, call.asking_user, call.uid) == ("root", "nobody", 65534)


@pytest.mark.root
@needs_programs
def test_without_a_library_the_part_says_so(monkeypatch):
    monkeypatch.setattr(Libraries, "find", lambda _self: {})
    sensor = BpfSensor(parts=(CORE, PAM))
    sensor.open()
    sensor.close()
    ((name, reason),) = sensor.refused
    assert name == "bpf/pam"
    assert "libpam" in reason
