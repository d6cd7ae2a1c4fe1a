"""The waits between starts of a failing service, run as the unit runs them."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from tests.packaging.conftest import ROOT

BACKOFF = ROOT / "packaging" / "agent" / "backoff.py"


@pytest.fixture
def run(tmp_path):
    """Return a function that runs one of its commands after a service that ended so."""

    def run(word: str, result: str = "exit-code") -> str:
        surroundings = {"RUNTIME_DIRECTORY": str(tmp_path), "SERVICE_RESULT": result}
        command = [sys.executable, "-I", str(BACKOFF), word]
        ran = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=30)
        assert ran.returncode == 0, ran.stderr
        return ran.stderr

    return run


def test_a_first_start_waits_for_nothing(run):
    assert run("wait") == ""


def test_a_failure_makes_the_next_start_wait(run):
    run("count")
    began = time.monotonic()
    assert "waiting 2 s" in run("wait")
    assert time.monotonic() - began >= 2


@pytest.mark.parametrize("result", ["signal", "watchdog", "oom-kill", "timeout"])
def test_every_end_that_is_no_success_counts(run, tmp_path, result):
    run("count", result)
    run("count", result)
    assert (tmp_path / "failures").read_text() == "2"


def test_a_success_forgets_them(run, tmp_path):
    run("count")
    run("count", "success")
    assert not (tmp_path / "failures").exists()
    assert run("wait") == ""


def test_after_a_long_life_an_end_is_a_first_one(run, tmp_path):
    (tmp_path / "failures").write_text("7")
    (tmp_path / "started").touch()
    os.utime(tmp_path / "started", (0, time.time() - 3600))
    run("count")
    assert (tmp_path / "failures").read_text() == "1"


def test_a_damaged_count_is_none(run, tmp_path):
    (tmp_path / "failures").write_text("x")
    assert run("wait") == ""
