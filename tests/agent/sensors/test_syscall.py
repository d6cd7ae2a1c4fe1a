"""bpf(2) through ctypes."""

from __future__ import annotations

import os
import platform
import struct

import pytest

from deodar.agent.sensors import syscall


@pytest.mark.root
def test_map_is_made_set_and_read():
    descriptor = syscall.create_array("a_name_that_is_too_long_for_the_kernel", 8)
    try:
        syscall.update(descriptor, bytes(4), b"abcdefgh")
        assert syscall.lookup(descriptor, bytes(4), 8) == b"abcdefgh"
        with pytest.raises(FileExistsError):
            syscall.update(descriptor, bytes(4), bytes(8), syscall.NO_EXIST)
        with pytest.raises(FileNotFoundError):
            syscall.lookup(descriptor, struct.pack("<I", 1), 8)
    finally:
        os.close(descriptor)


def kernel_version() -> tuple[int, int]:
    major, minor = platform.release().split(".")[:2]
    return int(major), int(minor.partition("-")[0])


@pytest.mark.root
@pytest.mark.skipif(
    kernel_version() < (5, 14), reason="a kernel that takes elements: 5.14 or later"
)
def test_elements_of_a_hash_map_are_listed_and_taken_out():
    descriptor, _ = syscall.bpf(syscall.MAP_CREATE, struct.pack("<IIIII", 1, 4, 8, 16, 0))
    try:
        assert syscall.keys(descriptor, 4, 16) == []
        for number in range(5):
            syscall.update(descriptor, struct.pack("<I", number), struct.pack("<Q", number * 3))
        assert len(syscall.keys(descriptor, 4, 3)) == 3
        found = {key: syscall.take(descriptor, key, 8) for key in syscall.keys(descriptor, 4, 16)}
        assert found == {struct.pack("<I", n): struct.pack("<Q", n * 3) for n in range(5)}
        assert syscall.keys(descriptor, 4, 16) == []
        with pytest.raises(FileNotFoundError):
            syscall.take(descriptor, bytes(4), 8)
    finally:
        os.close(descriptor)


@pytest.mark.root
def test_programs_and_maps_are_found_by_their_numbers(bpf):
    number, *_ = syscall.program_info(bpf.session.loaded.programs["deodar_fork"])
    assert syscall.program_by_id(number) == (26, b"deodar_fork")
    info = syscall.buffer(bytes(80))
    ring = struct.pack("<IIQ", bpf.session.loaded.maps["ring"], 80, syscall.address(info))
    syscall.bpf(syscall.OBJECT_INFO, ring)
    assert syscall.map_by_id(struct.unpack_from("<I", info.raw, 4)[0]) == (27, b"ring")
    with pytest.raises(FileNotFoundError):
        syscall.program_by_id(0xFFFFFFF0)


@pytest.mark.root
def test_statistics_are_on_while_the_descriptor_is_open(bpf):
    program = bpf.session.loaded.programs["deodar_fork"]
    descriptor = syscall.enable_statistics()
    _, _, before, _ = syscall.program_info(program)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    identity, run_time, runs, _ = syscall.program_info(program)
    os.close(descriptor)
    assert runs > before
    assert run_time > 0
    assert identity > 0


def test_error_carries_errno():
    with pytest.raises(OSError, match=r"descriptor|not permitted"):
        syscall.program_info(2**31 - 1)


def test_unknown_machine(monkeypatch):
    monkeypatch.setattr(syscall.platform, "machine", lambda: "m68k")
    with pytest.raises(OSError, match="m68k"):
        syscall.bpf(syscall.MAP_CREATE, bytes(8))
