"""That all is told in the end is tested with the real programs, in test_calls_reach.py."""

from __future__ import annotations

import os
import struct
import time

import pytest
from tests.agent.sensors.conftest import needs_programs

from deodar.agent.sensors import syscall
from deodar.agent.sensors.acts import MemoryFile, ProcessAccess
from deodar.agent.sensors.base import ProcessKey
from deodar.agent.sensors.loader import Loaded
from deodar.agent.sensors.parts.repeats import (
    LONG_NS,
    MEMORY_FILE,
    MEMORY_FILES,
    MOST_REACHED,
    REACH,
    REPEATS,
    SHORT_NS,
    overdue,
)

pytestmark = [pytest.mark.root, needs_programs]
PTRACE_ATTACH, VM_READ = 1, 3


@pytest.fixture
def loaded():
    maps = {
        "reached": hash_map(REACH.size, REPEATS.size, MOST_REACHED),
        "memory_files": hash_map(MEMORY_FILE.size, MEMORY_FILES.size, 16),
    }
    yield Loaded(maps, {})
    for descriptor in maps.values():
        os.close(descriptor)


def hash_map(key_bytes, value_bytes, entries):
    attributes = struct.pack("<IIIII", 1, key_bytes, value_bytes, entries, 0)
    return syscall.bpf(syscall.MAP_CREATE, attributes)[0]


def put(loaded, way, age_ns, calls, target=7):
    told = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - age_ns
    key = REACH.pack(11, 22, 5, target, way, 0)
    syscall.update(loaded.maps["reached"], key, REPEATS.pack(told, told + 9, 100 * calls, calls))
    return told


def test_what_is_over_is_told_with_its_sum_and_forgotten(loaded):
    told = put(loaded, VM_READ, SHORT_NS + 1, 3)
    (record,) = overdue(loaded, 1000)
    assert record == ProcessAccess(
        told + 9 + 1000, ProcessKey(5, 11), ProcessKey(7, 22), "process_vm_readv", 300, 3
    )
    assert overdue(loaded, 1000) == []
    assert syscall.keys(loaded.maps["reached"], REACH.size, MOST_REACHED) == []


def test_what_may_still_go_on_stays(loaded):
    put(loaded, VM_READ, 0, 3)
    put(loaded, PTRACE_ATTACH, SHORT_NS * 2, 3)
    assert overdue(loaded, 0) == []
    assert len(syscall.keys(loaded.maps["reached"], REACH.size, MOST_REACHED)) == 2


def test_what_was_not_repeated_is_forgotten_without_a_word(loaded):
    put(loaded, PTRACE_ATTACH, 61 * SHORT_NS, 0)
    assert overdue(loaded, 0) == []
    assert syscall.keys(loaded.maps["reached"], REACH.size, MOST_REACHED) == []


def test_a_full_map_is_read_to_its_end(loaded):
    for target in range(MOST_REACHED):
        put(loaded, VM_READ, SHORT_NS + 1, 1, target)
    assert len(overdue(loaded, 0)) == MOST_REACHED


def put_file(loaded, age_ns, files, name=b"memfd:hidden"):
    told = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - age_ns
    value = MEMORY_FILES.pack(told, told + 9, 0, files, name)
    syscall.update(loaded.maps["memory_files"], MEMORY_FILE.pack(11, 77, 5, 3), value)
    return told


def test_memory_files_of_one_name_are_told_with_their_number(loaded):
    told = put_file(loaded, LONG_NS + 1, 7)
    (record,) = overdue(loaded, 1000)
    key = ProcessKey(5, 11)
    assert record == MemoryFile(told + 9 + 1000, key, b"hidden", 3, files=7)
    assert overdue(loaded, 1000) == []


def test_memory_files_that_may_go_on_stay_and_single_ones_are_forgotten(loaded):
    put_file(loaded, SHORT_NS * 2, 7)
    assert overdue(loaded, 0) == []
    put_file(loaded, LONG_NS + 1, 0)
    assert overdue(loaded, 0) == []
    assert syscall.keys(loaded.maps["memory_files"], MEMORY_FILE.size, 16) == []
