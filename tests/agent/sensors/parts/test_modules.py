"""Kernel modules, loaded for real where the kernel has any (tests/kernels); else from bytes.

With the gatherer that puts a name and a call together, for both come from the kernel.
"""

from __future__ import annotations

import ctypes
import hashlib
import lzma
import os
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from deodar.agent.enrich import converters  # noqa: F401 - fills the registry
from deodar.agent.enrich.registry import event_of, follow
from deodar.agent.gather.modules import ModuleGatherer
from deodar.agent.sensors.acts import KernelModule, ModuleSeen
from deodar.agent.sensors.base import Exec, ProcessKey
from deodar.agent.sensors.bpf import BpfSensor
from deodar.agent.sensors.errors import MalformedRecord, SensorUnavailable
from deodar.agent.sensors.loader import read_blob
from deodar.agent.sensors.open_part import open_part
from deodar.agent.sensors.parts import PARTS
from deodar.agent.sensors.parts.calls import CALLS
from deodar.agent.sensors.parts.core import CORE
from deodar.agent.sensors.parts.modules import KIND, MODULES, SEEN, decode

NAME = "dummy"
INIT_MODULE = 175
HAS_MODULES = Path("/proc/modules").exists()
FOLDER = Path("/lib/modules") / os.uname().release
FILES = sorted(FOLDER.rglob(f"{NAME}.ko*")) if HAS_MODULES else []
IN_A_FILE = bool(FILES) and FILES[0].suffix == ".ko"
"""Debian 12's modprobe unpacks a compressed module itself: to the kernel it comes from memory."""

with_modules = pytest.mark.skipif(
    not FILES, reason="this kernel has no modules, or they are not installed (make test-kernels)"
)


@pytest.fixture
def modules():
    """An open sensor with names and calls; the module is not loaded."""
    subprocess.run(["modprobe", "-r", NAME], check=False)
    sensor = BpfSensor(own_pid=0, parts=(CORE, CALLS, MODULES))
    sensor.open()
    assert sensor.refused == []
    yield sensor
    sensor.close()
    subprocess.run(["modprobe", "-r", NAME], check=False)


def gathered(records, name=NAME):
    """Return what the gatherer makes of records, of one module."""
    gatherer = ModuleGatherer()
    kinds = (KernelModule, ModuleSeen)
    found = [one for r in records if isinstance(r, kinds) for one in gatherer.take(r)]
    return [one for one in found if one.name == name.encode()]


def loaded_from_memory(options=b""):
    """Load the module by init_module; returns what the call gives."""
    file = FILES[0]
    content = file.read_bytes()
    if file.suffix == ".xz":
        content = lzma.decompress(content)
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(INIT_MODULE, content, len(content), options)


@pytest.mark.root
@with_modules
def test_a_module_has_name_file_and_loader_however_it_is_loaded(modules, collect):
    subprocess.run(["modprobe", NAME], check=True)
    subprocess.run(["modprobe", "-r", NAME], check=True)
    assert loaded_from_memory() == 0
    subprocess.run(["rmmod", NAME], check=True)
    records = collect(modules, lambda records: len(gathered(records)) >= 4, seconds=20)
    load, unload, from_memory, removed = gathered(records)
    assert [one.operation for one in (load, unload, from_memory, removed)] == [
        "load", "unload", "load", "unload",
    ]  # fmt: skip
    assert os.fsdecode(load.path) == os.path.realpath(FILES[0])
    assert load.identity.ino == FILES[0].stat().st_ino
    assert load.from_memory is not IN_A_FILE
    assert (from_memory.path, from_memory.from_memory) == (b"", True)
    assert from_memory.key.pid == os.getpid()
    programs = {r.key: r.argv for r in records if isinstance(r, Exec)}
    assert programs[load.key][1:] == [NAME.encode()]
    assert programs[unload.key][1] == b"-r"


@pytest.mark.root
@with_modules
def test_its_event_has_the_file_with_its_hash_and_the_loader(modules, collect, context):
    subprocess.run(["modprobe", NAME], check=True)
    records = collect(modules, gathered, seconds=20)
    (load,) = gathered(records)
    for record in records:
        follow(context, record)
    event = event_of(context, load)
    assert (event["EventType"], event["DriverOperation"]) == ("driver", "load")
    assert (event["DriverName"], event["SystemPid"]) == (NAME, load.key.pid)
    assert event["FileFullName"] == os.path.realpath(FILES[0])
    assert event["Sha256"] == hashlib.sha256(FILES[0].read_bytes()).hexdigest()
    assert event["LoaderFileFullName"] == os.path.realpath(shutil.which("modprobe"))


@pytest.mark.root
@with_modules
def test_a_module_that_does_not_start_is_not_told(modules, collect):
    assert loaded_from_memory(b"numdummies=nonsense") != 0
    subprocess.run(["modprobe", NAME], check=True)
    records = collect(modules, lambda records: len(gathered(records)) >= 1, seconds=20)
    (found,) = gathered(records)
    assert found.key.pid != os.getpid()


@pytest.mark.root
@with_modules
def test_a_module_that_the_kernel_wants_itself_is_told_with_its_loader(modules, collect):
    if not (FOLDER / "kernel/net/can").exists():
        pytest.skip("no module for AF_CAN is installed")
    subprocess.run(["modprobe", "-r", "can_raw", "can"], check=False, capture_output=True)
    with suppress(OSError), socket.socket(socket.AF_CAN, socket.SOCK_RAW):
        pass  # the kernel calls modprobe for the family
    records = collect(modules, lambda records: gathered(records, "can"), seconds=20)
    found = gathered(records, "can")[0]
    (program,) = (r for r in records if isinstance(r, Exec) and r.key == found.key)
    assert found.operation == "load"
    assert b"modprobe" in program.argv[0]
    assert program.parent.pid != os.getpid()


@pytest.mark.root
@pytest.mark.skipif(HAS_MODULES, reason="this kernel has modules")
def test_a_kernel_without_modules_refuses_the_part_and_says_why():
    with pytest.raises(SensorUnavailable, match="lacks a type or tracepoint"):
        open_part(MODULES)


@pytest.mark.root
@pytest.mark.skipif(HAS_MODULES, reason="this kernel has modules")
def test_where_there_are_no_modules_the_part_is_not_missed():
    assert not MODULES.needed()
    sensor = BpfSensor(parts=(CORE, MODULES))
    sensor.open()
    try:
        assert sensor.refused == []
        assert [part.part for part in sensor.session.parts] == [CORE]
    finally:
        sensor.close()


def seen(operation=1, name=b"snd_x"):
    return SEEN.pack(KIND, 0, 5, 11, 1000, 4096, operation, 0, name)


def test_names_are_read_with_taints() -> None:
    assert decode(seen(), 0, SEEN.size, 500) == ModuleSeen(
        1500, ProcessKey(5, 11), b"snd_x", "load", 4096
    )
    assert decode(seen(2), 0, SEEN.size, 0).operation == "unload"


@pytest.mark.parametrize("data", [b"", seen()[:-1], seen(3), seen() + b"x", bytes(SEEN.size)])
def test_odd_records_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedRecord):
        decode(data, 0, len(data), 0)


def test_every_field_is_where_the_c_side_has_it() -> None:
    facts = read_blob("modules").manifest["records"]["module_seen_record"]
    assert facts["bytes"] == SEEN.size
    assert facts["fields"] == {"head": 0, "taints": 24, "operation": 32, "reserved": 36, "name": 40}


def test_it_comes_after_the_calls_for_a_name_must_be_there_when_its_call_is() -> None:
    assert PARTS.index(MODULES) > PARTS.index(CALLS)
