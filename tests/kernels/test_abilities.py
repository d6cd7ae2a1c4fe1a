"""Functions of the running kernel are found by name, as another reader of its types finds them."""

from __future__ import annotations

import re
import subprocess

import pytest
from tests.kernels.abilities import BTF, function_id
from tests.machines.debian import host, missing


@pytest.fixture
def others():
    """Return the numbers of functions as bpftool tells them."""
    if not BTF.is_file():
        pytest.skip("this kernel has no type information")
    if lacking := missing("bpftool"):
        pytest.skip(f"needs {lacking}")
    try:
        told = host("bpftool", "btf", "dump", "file", str(BTF))
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"bpftool cannot read this kernel's types: {error}")
    found = re.findall(r"^\[(\d+)\] FUNC '(\w+)'", told, re.MULTILINE)
    return {name: int(number) for number, name in found}


@pytest.mark.parametrize("name", ["vfs_mkdir", "bpf_lsm_inode_mkdir"])
def test_function_is_found(others, name):
    assert function_id(name) == others[name]


def test_unknown_function(others):
    with pytest.raises(OSError, match="no function no_such_function_here"):
        function_id("no_such_function_here")
