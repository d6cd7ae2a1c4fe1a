"""What is copied into a machine: the libraries that its tests import, and no others."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest
from tests.kernels import plan
from tests.kernels.tree import closure, copy_distributions


def test_libraries_of_the_tests_are_there_and_the_servers_are_not():
    found = closure(plan.DISTRIBUTIONS)
    assert {"pytest", "pluggy", "httpx", "httpcore", "msgspec", "cryptography"} <= set(found)
    assert not {"chdb-core-lite", "pyarrow", "uvicorn", "mypy"} & set(found)


def test_an_extra_brings_its_libraries():
    assert "uvicorn" in closure(["deodar[edr]"])
    assert "uvicorn" not in closure(["deodar"])


def test_what_is_not_installed_is_an_error():
    with pytest.raises(metadata.PackageNotFoundError, match="no-such-distribution"):
        closure(["no-such-distribution"])


def test_copied_libraries_work_alone(tmp_path):
    copy_distributions(closure(plan.DISTRIBUTIONS), tmp_path)
    assert not list(tmp_path.glob("*.pth"))
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    code += "import httpx, hypothesis, pytest, zstandard; print(pytest.__file__)"
    words = [sys.executable, "-S", "-c", code]
    ran = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.startswith(str(tmp_path))
