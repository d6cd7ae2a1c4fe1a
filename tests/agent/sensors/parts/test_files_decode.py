from __future__ import annotations

import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.sensors.acts import (
    DeviceOpen,
    FileChange,
    FileClosed,
    FileOperation,
    LibraryLoad,
    ProcessAccess,
    ProcessTampering,
)
from deodar.agent.sensors.base import FileIdentity, ProcessKey
from deodar.agent.sensors.errors import MalformedRecord
from deodar.agent.sensors.parts import files_record as module
from deodar.agent.sensors.parts.files_decode import KINDS, decode
from deodar.agent.sensors.parts.files_record import FILE

OFFSET = 10**18
KEY = ProcessKey(7, 9)
IDENTITY = FileIdentity(os.makedev(254, 3), 11, 12, 13, 14)
REGULAR, BLOCK = 0o100644, 0o060600


def record(kind, flags=0, paths=b"/a", previous=0, *, operation=1, mode=REGULAR, ino=11, device=0):
    path_bytes = len(paths) - (previous + module.GAP if previous else 0)
    head = FILE.pack(
        kind, flags, 7, 9, 5, operation, mode, 0o102, 254 << 20 | 3, ino, 12, 13, 14,
        77, 70, device, path_bytes, previous, 0, 0,
    )  # fmt: skip
    return head + paths


def read(data):
    return decode(b"pad" + data, 3, len(data), OFFSET)


def test_each_kind_has_a_name() -> None:
    assert sorted(KINDS) == [*range(16, 21)]


def test_a_change_of_an_open_file():
    assert read(record(module.CHANGE, module.WILL_CLOSE)) == FileChange(
        5 + OFFSET, KEY, FileOperation.CREATE, b"/a", b"", IDENTITY, REGULAR, 0o102, True, True
    )


def test_a_renamed_file_has_two_names_and_no_identity():
    data = record(
        module.CHANGE, module.FROM_PROCESS, b"/x/../new\0\0\0\0/old/", 5, operation=3, ino=0
    )
    found = read(data)
    assert isinstance(found, FileChange)
    assert (found.path, found.previous) == (b"/new", b"/old")
    assert (found.identity, found.exact, found.closes) == (None, False, False)


def test_a_cut_path_shows_it():
    found = read(record(module.CHANGE, module.TRUNCATED, b"/deep"))
    assert isinstance(found, FileChange)
    assert found.path == b".../deep"


def test_the_root_itself_has_an_empty_path():
    found = read(record(module.LIBRARY, paths=b""))
    assert isinstance(found, LibraryLoad)
    assert found.path == b"/"


def test_the_others():
    assert read(record(module.CLOSED, paths=b"")) == FileClosed(5 + OFFSET, KEY, IDENTITY)
    assert read(record(module.LIBRARY, module.UNLINKED)) == LibraryLoad(
        5 + OFFSET, KEY, b"/a", IDENTITY, REGULAR, True
    )
    assert read(record(module.DEVICE, mode=BLOCK, device=8 << 20 | 17)) == DeviceOpen(
        5 + OFFSET, KEY, b"/a", True, 8, 17, 0o102
    )
    target = ProcessKey(70, 77)
    looked, wrote = (read(record(module.PROC_MEM, flags)) for flags in (0, module.WRITABLE))
    assert looked == ProcessAccess(5 + OFFSET, KEY, target, "proc_mem_read")
    assert wrote == ProcessTampering(5 + OFFSET, KEY, target, "proc_mem_write")


@pytest.mark.parametrize(
    "data",
    [
        record(99),
        record(module.CHANGE, operation=9),
        record(module.CHANGE)[:-1],
        record(module.CHANGE, paths=b"/new\0\0\0\0/old", previous=4)[:-1],
        b"",
    ],
)
def test_garbage_is_refused(data):
    with pytest.raises(MalformedRecord):
        read(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    with suppress(MalformedRecord):
        assert read(data).time_ns
