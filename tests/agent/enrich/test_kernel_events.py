from __future__ import annotations

import hashlib
import os
import sys
from typing import TYPE_CHECKING

import pytest

from deodar.agent.enrich import converters  # noqa: F401 - fills the registry
from deodar.agent.enrich.hashes import identity_of
from deodar.agent.enrich.proc import live_process
from deodar.agent.enrich.registry import event_of
from deodar.agent.sensors.acts import BpfUse, KernelModule
from deodar.agent.sensors.base import ProcessKey
from deodar.events.codec import check
from deodar.events.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.agent.enrich.context import Context
    from deodar.agent.sensors.base import Record

NOW = 1_800_000_000_123_456_789


def own_key() -> ProcessKey:
    live = live_process(os.getpid())
    assert live is not None
    return live.key


def records() -> list[Record]:
    return [
        KernelModule(NOW, own_key(), b"nothing", "load", b"/no/nothing.ko", taints=4096),
        KernelModule(NOW, own_key(), b"", "unload"),
        KernelModule(NOW, own_key(), b"x", "load", b"/x.ko.xz", from_memory=True),
        BpfUse(NOW, own_key(), "attach", 1, b"name", 7, "tracing", b"sys_exit"),
        BpfUse(NOW, own_key(), "map_create", 99),
    ]


@pytest.mark.parametrize("record", records(), ids=lambda record: type(record).__name__)
def test_every_event_fits_the_vocabulary(context: Context, record: Record) -> None:
    event = event_of(context, record)
    assert check(event) == []
    assert set(event) <= set(VOCABULARY.types[event["EventType"]].fields)


def test_the_file_of_a_loaded_module_is_the_modules(context: Context, tmp_path: Path) -> None:
    file = tmp_path / "nothing.ko"
    file.write_bytes(b"\x7fELF module")
    identity = identity_of(file.stat())
    path = os.fsencode(file)
    record = KernelModule(NOW, own_key(), b"nothing", "load", path, identity, taints=8192)
    event = event_of(context, record)
    assert (event["EventType"], event["DriverOperation"]) == ("driver", "load")
    assert (event["DriverName"], event["DriverTaints"]) == ("nothing", 8192)
    assert (event["FileFullName"], event["FileName"]) == (str(file), "nothing.ko")
    assert event["Md5"] == hashlib.md5(file.read_bytes()).hexdigest()
    assert event["FileInode"] == file.stat().st_ino
    assert event["LoaderFileFullName"] == os.path.realpath(sys.executable)
    assert event["SystemPid"] == os.getpid()


def test_a_module_from_memory_does_not_have_the_loaders_file(context: Context) -> None:
    record = KernelModule(NOW, own_key(), b"nothing", "load", from_memory=True)
    event = event_of(context, record)
    assert (event["DriverName"], event["DriverFromMemory"]) == ("nothing", 1)
    assert event["LoaderFileFullName"] == os.path.realpath(sys.executable)
    assert not [name for name in event if name.startswith("File") or name in ("Md5", "Sha256")]


def test_a_file_that_was_replaced_since_does_not_lend_its_hash(
    context: Context, tmp_path: Path
) -> None:
    file = tmp_path / "nothing.ko"
    file.write_bytes(b"before")
    identity = identity_of(file.stat())
    file.unlink()
    file.write_bytes(b"afterwards")
    path = os.fsencode(file)
    event = event_of(context, KernelModule(NOW, own_key(), b"x", "load", path, identity))
    assert event["FileFullName"] == str(file)
    assert "Md5" not in event


def test_ebpf_has_command_type_name_and_number(context: Context) -> None:
    record = BpfUse(NOW, own_key(), "program_load", 26, b"spy", 7, "tracing", b"sys_exit")
    event = event_of(context, record)
    assert event["EventType"] == "bpf"
    assert (event["BpfCommand"], event["BpfType"]) == ("program_load", "tracing")
    assert (event["BpfName"], event["BpfId"], event["BpfTarget"]) == ("spy", 7, "sys_exit")
    assert event["SystemPid"] == os.getpid()


def test_a_type_without_a_name_is_its_number(context: Context) -> None:
    assert event_of(context, BpfUse(NOW, own_key(), "map_create", 99))["BpfType"] == "99"
