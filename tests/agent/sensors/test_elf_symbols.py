from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from deodar.agent.sensors.elf_symbols import function_offsets
from deodar.agent.sensors.errors import SensorUnavailable

LIBC = Path("/lib/x86_64-linux-gnu/libc.so.6")
pytestmark = pytest.mark.skipif(not LIBC.exists(), reason="needs Debian's libc on x86-64")


@pytest.mark.skipif(shutil.which("readelf") is None, reason="needs readelf (binutils)")
def test_functions_begin_where_the_binary_tools_say():
    with LIBC.open("rb") as file:
        found = function_offsets(file, {"getpid", "no_such_function"})
    table = subprocess.run(
        ["readelf", "--dyn-syms", "--wide", LIBC], capture_output=True, text=True, check=True
    ).stdout
    (line,) = (line for line in table.splitlines() if " getpid@@" in line)
    address = int(line.split()[1], 16)
    assert found == {"getpid": address}  # Debian's libc is loaded where it stands in the file


@pytest.mark.parametrize("content", [b"#!/bin/sh\n", b"\x7fELF\x01\x01" + bytes(100), b""])
def test_what_is_no_library_is_refused(tmp_path, content):
    path = tmp_path / "odd.so"
    path.write_bytes(content)
    with path.open("rb") as file, pytest.raises(SensorUnavailable, match=r"odd\.so"):
        function_offsets(file, {"getpid"})


def test_a_cut_library_is_refused(tmp_path):
    path = tmp_path / "cut.so"
    path.write_bytes(LIBC.read_bytes()[:4096])
    with path.open("rb") as file, pytest.raises(SensorUnavailable, match="damaged"):
        function_offsets(file, {"getpid"})
