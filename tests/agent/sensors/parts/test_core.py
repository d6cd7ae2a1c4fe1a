"""That an older listener is known is tested with the whole sensor, in test_bpf.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deodar.agent.sensors.base import Exec
from deodar.agent.sensors.cpus import possible_cpus
from deodar.agent.sensors.parts import PARTS
from deodar.agent.sensors.parts.core import CORE


def test_the_core_comes_first() -> None:
    assert PARTS[0] is CORE


def test_its_scratch_has_a_record_for_every_processor() -> None:
    assert CORE.sizes() == {"scratch": possible_cpus()}


BY_DESCRIPTOR = "import os, sys; os.execve(int(sys.argv[1]), sys.argv[1:], os.environ)"
BY_PATH = "import os, sys; os.execv(f'/proc/self/fd/{sys.argv[1]}', sys.argv[1:])"


def ran(sensor, collect, mark, code, descriptor):
    """Execute what a descriptor leads to, and return the record of it."""
    command = [sys.executable, "-c", code, str(descriptor), mark]
    subprocess.run(command, pass_fds=[descriptor], check=True)

    def found(records):
        marked = [r for r in records if isinstance(r, Exec) and mark.encode() in r.argv]
        return [r for r in marked if b"python" not in r.exe]

    (record,) = found(collect(sensor, found))
    return record


@pytest.mark.root
@pytest.mark.parametrize("code", [BY_DESCRIPTOR, BY_PATH])
def test_a_program_that_is_a_memory_file_is_marked(bpf, collect, mark, code):
    descriptor = os.memfd_create("hidden", 0)
    os.write(descriptor, Path("/bin/true").read_bytes())
    reading = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
    os.close(descriptor)
    record = ran(bpf, collect, mark, code, reading)
    os.close(reading)
    assert (record.in_memory, record.deleted) == (True, True)
    assert record.exe == b"/memfd:hidden"


MEMORY_FILE_SYSTEMS = {"1021994", "858458f6"}  # tmpfs, ramfs


@pytest.mark.root
@pytest.mark.parametrize(("folder", "in_memory"), [("/dev/shm", True), ("/var/tmp", False)])
def test_a_deleted_program_is_in_memory_if_its_file_system_is(
    bpf, collect, mark, folder, in_memory
):
    command = ["stat", "--file-system", "--format=%t", folder]
    system = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if (system in MEMORY_FILE_SYSTEMS) is not in_memory:
        pytest.skip(f"{folder} is on another kind of file system here")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        program = shutil.copy("/bin/true", place)
        descriptor = os.open(program, os.O_RDONLY)
    record = ran(bpf, collect, mark, BY_DESCRIPTOR, descriptor)
    os.close(descriptor)
    assert (record.in_memory, record.deleted) == (in_memory, True)


@pytest.mark.root
def test_a_program_on_a_tmpfs_with_a_name_is_not_marked(bpf, collect, mark):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        descriptor = os.open(shutil.copy("/bin/true", place), os.O_RDONLY)
        record = ran(bpf, collect, mark, BY_DESCRIPTOR, descriptor)
        os.close(descriptor)
    assert (record.in_memory, record.deleted) == (False, False)
