"""That all is told in the end is tested with the real programs, in test_calls_reach.py."""

from __future__ import annotations

import os
import struct
import time

import pytest

from deodar.agent.sensors import syscall
from deodar.agent.sensors.acts import ProcessAccess
from deodar.agent.sensors.base import ProcessKey
from deodar.agent.sensors.loader import Loaded
from deodar.agent.sensors.parts.repeats import MOST, OTHER_NS, REACH, REPEATS, overdue

pytestmark = pytest.mark.root
PTRACE_ATTACH, VM_READ = 1, 3


@pytest.fixture
def loaded():
    attributes = struct.pack("<IIIII", 1, REACH.size, REPEATS.size, MOST, 0)
    descriptor, _ = syscall.bpf(syscall.MAP_CREATE, attributes)
    yield Loaded({"reached": descriptor}, {})
    os.close(descriptor)


def put(loaded, way, age_ns, calls, target=7):
    told = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - age_ns
    key = REACH.pack(11, 22, 5, target, way, 0)
    syscall.update(loaded.maps["reached"], key, REPEATS.pack(told, told + 9, 100 * calls, calls))
    return told


def test_what_is_over_is_told_with_its_sum_and_forgotten(loaded):
    told = put(loaded, VM_READ, OTHER_NS + 1, 3)
    (record,) = overdue(loaded, 1000)
    assert record == ProcessAccess(
        told + 9 + 1000, ProcessKey(5, 11), ProcessKey(7, 22), "process_vm_readv", 300, 3
    )
    assert overdue(loaded, 1000) == []
    assert syscall.keys(loaded.maps["reached"], REACH.size, MOST) == []


def test_what_may_still_go_on_stays(loaded):
    put(loaded, VM_READ, 0, 3)
    put(loaded, PTRACE_ATTACH, OTHER_NS * 2, 3)
    assert overdue(loaded, 0) == []
    assert len(syscall.keys(loaded.maps["reached"], REACH.size, MOST)) == 2


def test_what_was_not_repeated_is_forgotten_without_a_word(loaded):
    put(loaded, PTRACE_ATTACH, 61 * OTHER_NS, 0)
    assert overdue(loaded, 0) == []
    assert syscall.keys(loaded.maps["reached"], REACH.size, MOST) == []


def test_a_full_map_is_read_to_its_end(loaded):
    for target in range(MOST):
        put(loaded, VM_READ, OTHER_NS + 1, 1, target)
    assert len(overdue(loaded, 0)) == MOST
