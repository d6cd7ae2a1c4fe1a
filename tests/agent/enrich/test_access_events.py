from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from deodar.agent.enrich import converters  # noqa: F401 - fills the registry
from deodar.agent.enrich.proc import live_process
from deodar.agent.enrich.registry import event_of
from deodar.agent.sensors.acts import MemoryFile, ProcessAccess, ProcessTampering
from deodar.agent.sensors.base import ProcessKey
from deodar.events.codec import check
from deodar.events.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.sensors.base import Record

NOW = 1_800_000_000_123_456_789
GONE = ProcessKey(4_000_001, 50_000_000)


def own_key() -> ProcessKey:
    live = live_process(os.getpid())
    assert live is not None
    return live.key


def records() -> list[Record]:
    return [
        ProcessAccess(NOW, own_key(), GONE, "ptrace_attach"),
        ProcessTampering(NOW, GONE, own_key(), "process_vm_writev", 64),
        MemoryFile(NOW, own_key(), b"a\xffb", 3, 99),
    ]


@pytest.mark.parametrize("record", records(), ids=lambda record: type(record).__name__)
def test_every_event_fits_the_vocabulary(context: Context, record: Record) -> None:
    event = event_of(context, record)
    assert check(event) == []
    assert set(event) <= set(VOCABULARY.types[event["EventType"]].fields)


def test_tampering_tells_both_processes(context: Context) -> None:
    event = event_of(context, ProcessTampering(NOW, own_key(), own_key(), "proc_mem_write", 64))
    assert event["EventType"] == "process_tampering"
    assert event["SystemPid"] == event["TargetSystemPid"] == os.getpid()
    assert event["TargetUniquePid"] == event["UniquePid"]
    assert event["TargetFileFullName"] == os.path.realpath(sys.executable)
    assert event["TargetStartupParameters"] == event["StartupParameters"]
    assert event["TargetProcessUserName"] == event["EffectiveUserName"]
    assert (event["AccessWay"], event["AccessSize"]) == ("proc_mem_write", 64)


def test_access_to_a_process_that_is_gone_still_names_it(context: Context) -> None:
    event = event_of(context, ProcessAccess(NOW, own_key(), GONE, "ptrace_attach"))
    assert event["EventType"] == "process_access"
    assert event["TargetSystemPid"] == GONE.pid
    assert event["TargetUniquePid"] == context.unique_pids.of(GONE)
    assert "TargetFileFullName" not in event
    assert "AccessSize" not in event


def test_memory_file_has_its_name_even_if_that_is_no_text(context: Context) -> None:
    event = event_of(context, MemoryFile(NOW, own_key(), b"a\xffb", 3))
    assert (event["MemoryFileName"], event["MemoryFileFlags"]) == ("a\\xffb", 3)
    assert event["SystemPid"] == os.getpid()
