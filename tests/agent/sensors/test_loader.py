"""The committed blobs: whole, reproducible, and refused with clear reasons."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.agent.sensors.conftest import needs_programs

from deodar.agent.sensors import loader
from deodar.agent.sensors.cpus import possible_cpus
from deodar.agent.sensors.errors import BlobError, SensorUnavailable
from deodar.agent.sensors.loader import load, meaning, read_blob

SOURCES = Path(__file__).parents[3] / "bpf"
TOOLS = ("clang-14", "llvm-strip-14", "bpftool")


def missing_tools():
    return [
        tool for tool in TOOLS if not shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin")
    ]


needs_tools = pytest.mark.skipif(
    bool(missing_tools()), reason=f"not installed: {', '.join(missing_tools())}"
)


@needs_tools
def test_rebuild_gives_the_committed_bytes():
    check = [sys.executable, SOURCES / "build.py", "--check"]
    result = subprocess.run(check, check=False, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@needs_tools
def test_rebuild_in_another_folder_gives_the_same_bytes(tmp_path):
    copy = tmp_path / "elsewhere" / "bpf"
    shutil.copytree(SOURCES, copy)
    blobs = copy.parent / "src/deodar/agent/sensors/blobs"
    blobs.mkdir(parents=True)
    subprocess.run([sys.executable, copy / "build.py"], check=True)
    for name in ("core.blob", "core.json"):
        committed = Path(loader.__file__).parent / "blobs" / name
        assert (blobs / name).read_bytes() == committed.read_bytes()


@needs_tools
def test_check_tells_a_changed_source(tmp_path):
    copy = tmp_path / "bpf"
    shutil.copytree(SOURCES, copy)
    blobs = tmp_path / "src/deodar/agent/sensors/blobs"
    shutil.copytree(Path(loader.__file__).parent / "blobs", blobs)
    source = copy / "records.h"
    source.write_text(source.read_text().replace("ARGV_BYTES 32768", "ARGV_BYTES 16384"))
    check = [sys.executable, copy / "build.py", "--check"]
    result = subprocess.run(check, check=False, capture_output=True, text=True)
    assert result.returncode == 1
    assert "core.blob is not what bpf/ builds; run: make -C bpf" in result.stderr


def test_manifest_describes_the_blob():
    blob = read_blob("core")
    context = blob.manifest["context"]
    assert set(context["programs"]) == {
        "deodar_exec", "deodar_fork", "deodar_exit", "deodar_socket"
    }  # fmt: skip
    assert {"ring", "scratch", "tallies", "settings", "listeners"} <= set(context["maps"])
    assert len(blob.instructions) % 8 == 0
    assert str(SOURCES).encode() not in blob.data


def test_missing_blob():
    with pytest.raises(BlobError, match="nowhere is missing"):
        read_blob("nowhere")


def test_damaged_blob(tmp_path, monkeypatch):
    folder = tmp_path / "blobs"
    shutil.copytree(Path(loader.__file__).parent / "blobs", folder)
    blob = bytearray((folder / "core.blob").read_bytes())
    blob[100] ^= 1
    (folder / "core.blob").write_bytes(blob)
    monkeypatch.setattr(loader, "FOLDER", folder)
    with pytest.raises(BlobError, match="core differs from its manifest; install again"):
        read_blob("core")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EPERM, "root"),
        (errno.ENOSYS, "no bpf"),
        (errno.EINVAL, "5.17"),
        (errno.ENOSPC, os.strerror(errno.ENOSPC)),
    ],
)
def test_reasons_say_what_errno_means(code, words):
    assert words in meaning(code)
    assert f"errno {code}" in meaning(code)
    assert os.uname().release in meaning(code)


@pytest.mark.root
def test_load_attach_and_close():
    before = len(list(Path("/proc/self/fd").iterdir()))
    loaded = load(read_blob("core"), {"ring": 65536, "scratch": possible_cpus()})
    assert len(loaded.programs) == 4
    loaded.attach()
    assert len(loaded.links) == 4
    loaded.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.root
@needs_programs
def test_verifiers_last_word_is_told():
    """Damage the first use of a map in the exec program, and see what the verifier says of it."""
    blob = read_blob("core")
    data = bytearray(blob.data)
    lookup = bytes.fromhex("85000000 01000000")  # call bpf_map_lookup_elem
    at = data.index(lookup)
    data[at + 4 : at + 8] = (9_999).to_bytes(4, "little")
    with pytest.raises(SensorUnavailable, match=r"\(verifier: .*9999"):
        load(dataclasses.replace(blob, data=bytes(data)), {})


@pytest.mark.root
def test_ring_of_an_impossible_size_is_refused():
    with pytest.raises(SensorUnavailable, match="loading the BPF programs"):
        load(read_blob("core"), {"ring": 5000})


@pytest.mark.root
def test_programs_that_the_kernel_refuses_leave_nothing():
    before = len(list(Path("/proc/self/fd").iterdir()))
    blob = dataclasses.replace(read_blob("core"), instructions=bytes(64))
    with pytest.raises(SensorUnavailable, match=r"errno \d+, kernel"):
        load(blob, {})
    assert len(list(Path("/proc/self/fd").iterdir())) == before
