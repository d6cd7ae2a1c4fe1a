from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from deodar.agent.enrich.proc import live_process
from deodar.agent.enrich.registry import event_of
from deodar.agent.hashing.facts import ELF, FileFacts
from deodar.agent.sensors.acts import (
    DeviceOpen,
    FileChange,
    FileOperation,
    FileRepeats,
    LibraryLoad,
)
from deodar.agent.sensors.base import FileIdentity, ProcessKey
from deodar.events.codec import check
from deodar.events.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.sensors.base import Record

NOW = 1_800_000_000_123_456_789
CREATE, MODIFY, RENAME, ATTRIBUTES, DELETE = FileOperation
IDENTITY = FileIdentity(os.makedev(8, 1), 42, 5, 1_700_000_000_000_001_000, 2)
FACTS = FileFacts(
    7, 1_600_000_000_000_000, 1_700_000_000_000_002, ELF, "7f45", "a" * 32, "b" * 64, 1234, "3:x:y"
)


def own_key() -> ProcessKey:
    live = live_process(os.getpid())
    assert live is not None
    return live.key


def created(**changes: object) -> FileChange:
    record = FileChange(
        NOW, own_key(), CREATE, b"/srv/a\xff/new", b"", IDENTITY, 0o100755, 0o101, closes=True
    )
    for name, value in changes.items():
        setattr(record, name, value)
    return record


def records() -> list[Record]:
    return [
        created(facts=FACTS),
        FileChange(NOW, own_key(), RENAME, b"/b", b"/c/a", exact=False),
        FileRepeats(NOW, own_key(), NOW - 10**9, {CREATE: 3, DELETE: 4}, b"/srv/one"),
        LibraryLoad(NOW, own_key(), b"/lib/x.so", IDENTITY, 0o100644, True, FACTS),
        DeviceOpen(NOW, own_key(), b"/dev/sda", True, 8, 0, 2),
    ]


@pytest.mark.parametrize("record", records(), ids=lambda record: type(record).__name__)
def test_every_event_fits_the_vocabulary(context: Context, record: Record) -> None:
    event = event_of(context, record)
    assert check(event) == []
    assert set(event) <= set(VOCABULARY.types[event["EventType"]].fields)
    assert event["SystemPid"] == os.getpid()


def test_a_new_file_with_all_that_is_known_of_it(context: Context) -> None:
    event = event_of(context, created(facts=FACTS))
    assert event["EventType"] == "filechange"
    assert event["FileOperationType"] == 1
    assert event["FileOpenFlags"] == 0o101
    assert event["DroppedFullName"] == "/srv/a\\xff/new"
    assert (event["DroppedPath"], event["DroppedName"]) == ("/srv/a\\xff", "new")
    assert event["DroppedSize"] == 7
    assert event["DroppedCreationTime"] == 1_600_000_000_000_000
    assert event["DroppedModificationTime"] == 1_700_000_000_000_002
    assert (event["DroppedMd5"], event["DroppedSha256"]) == ("a" * 32, "b" * 64)
    assert (event["DroppedFuzzyHash"], event["DroppedEntropy"]) == ("3:x:y", 1234)
    assert (event["DroppedHeader"], event["DroppedFileType"]) == ("7f45", 8)
    assert event["DroppedFileAttributes"] == 0o100755
    assert (event["DroppedDevice"], event["DroppedInode"]) == ("8:1", 42)
    assert "PathFromProcess" not in event


def test_without_facts_there_is_what_the_kernel_said(context: Context) -> None:
    event = event_of(context, created(operation=MODIFY))
    assert event["FileOperationType"] == 2
    assert event["DroppedSize"] == 5
    assert event["DroppedModificationTime"] == 1_700_000_000_000_001
    assert "DroppedSha256" not in event


def test_a_renamed_file_has_both_names(context: Context) -> None:
    event = event_of(context, FileChange(NOW, own_key(), RENAME, b"/b", b"/c/a", exact=False))
    assert (event["DroppedPath"], event["DroppedName"]) == ("/", "b")
    assert (event["PreviousFilePath"], event["PreviousFileName"]) == ("/c", "a")
    assert event["PathFromProcess"] == 1
    assert "DroppedInode" not in event


def test_repeats_are_numbers_by_operation(context: Context) -> None:
    counts = dict(zip(FileOperation, (1, 2, 3, 4, 5), strict=True))
    event = event_of(context, FileRepeats(NOW, own_key(), NOW - 10**9, counts, b"/srv/one"))
    assert event["EventType"] == "filechange_repeats"
    names = ["FilesCreated", "FilesModified", "FilesRenamed", "FilesAttributes", "FilesDeleted"]
    assert [event[name] for name in names] == [1, 2, 3, 4, 5]
    assert event["RepeatsLastTime"] - event["RepeatsFirstTime"] == 10**6
    assert (event["DroppedPath"], event["DroppedName"]) == ("/srv", "one")


def test_a_library(context: Context) -> None:
    record = LibraryLoad(NOW, own_key(), b"/lib/x.so", IDENTITY, 0o100644, True, FACTS)
    event = event_of(context, record)
    assert event["EventType"] == "module"
    assert (event["DllPath"], event["DllName"]) == ("/lib", "x.so")
    assert (event["DllSize"], event["DllSha256"]) == (7, "b" * 64)
    assert (event["DllDevice"], event["DllInode"], event["DllDeleted"]) == ("8:1", 42, 1)


@pytest.mark.parametrize(("block", "kind"), [(True, "block"), (False, "character")])
def test_a_device(context: Context, block: bool, kind: str) -> None:
    event = event_of(context, DeviceOpen(NOW, own_key(), b"/dev/sda1", block, 8, 1, 2))
    assert event["EventType"] == "rawdevice"
    assert event["DeviceName"] == "/dev/sda1"
    assert (event["DeviceMajor"], event["DeviceMinor"]) == (8, 1)
    assert (event["DeviceKind"], event["FileOpenFlags"]) == (kind, 2)
