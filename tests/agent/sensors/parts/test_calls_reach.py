"""Against the real kernel: what reaches into memory, processes and the kernel."""

from __future__ import annotations

import os

import pytest

from deodar.agent.sensors.acts import MemoryFile
from deodar.agent.sensors.parts.calls_reach import KINDS

pytestmark = pytest.mark.root


def test_its_numbers_are_its_own() -> None:
    assert all(32 <= kind < 40 for kind in KINDS)


def test_memory_file_is_told_with_name_and_flags(calls, collect, mark):
    fd = os.memfd_create(mark, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    ino = os.fstat(fd).st_ino
    os.close(fd)
    records = collect(calls, lambda records: of(MemoryFile, records, mark))
    (found,) = of(MemoryFile, records, mark)
    assert found.key.pid == os.getpid()
    assert found.flags == os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    assert found.ino == ino


def of(kind, records, name):
    return [r for r in records if type(r) is kind and name.encode() in r.name]
