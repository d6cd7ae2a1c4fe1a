"""The plugin in the guest tells every test: run here on a real pytest, with a file as console."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.kernels.plan import MOST_TEXT
from tests.kernels.results import Account
from tests.kernels.tree import ROOT

TESTS = """
import pytest

def test_good():
    pass

def test_bad():
    raise ValueError("x" * 9000)

def test_not_here():
    pytest.skip("no such device")

@pytest.fixture
def broken():
    yield
    raise OSError("at its end")

def test_with_broken_end(broken):
    pass
"""


def _told(tmp_path, **files):
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    console = tmp_path / "console"
    words = [sys.executable, "-m", "pytest", "-q", "-p", "tests.kernels.teller", "--rootdir", "."]
    words += sorted(f"{name}.py" for name in files)
    environment = {**os.environ, "DEODAR_CONSOLE": str(console), "PYTHONPATH": str(ROOT)}
    subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, timeout=100)
    lines = [line for line in console.read_text().splitlines() if line]
    assert all(line.startswith("SEEN ") for line in lines)
    account = Account("2026-01-02", "")
    for line in lines:
        account.take(json.loads(line.removeprefix("SEEN ")))
    return account.run(1)


def test_every_outcome_is_told(tmp_path):
    run = _told(tmp_path, test_them=TESTS)
    assert run.passed == 1
    bad, broken = run.failed
    assert bad.test == "test_them.py::test_bad"
    assert len(bad.said) == MOST_TEXT
    assert "at its end" in broken.said
    (skipped,) = run.skipped
    assert skipped.said == "Skipped: no such device"


def test_file_that_cannot_be_imported_is_a_failure(tmp_path):
    run = _told(tmp_path, test_broken="import no_such_module_here\n")
    (failed,) = run.failed
    assert failed.test == "test_broken.py"
    assert "no_such_module_here" in failed.said


def test_file_that_skips_as_a_whole_is_told(tmp_path):
    text = 'import pytest\npytest.skip("not on this host", allow_module_level=True)\n'
    (skipped,) = _told(tmp_path, test_none=text).skipped
    assert skipped.said == "Skipped: not on this host"
