"""The demonstration as a user runs it, without a sensor and, as root, with one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

DEMO = (sys.executable, "-m", "deodar", "demo")


AS_A_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder with a short path: those of sockets may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="demo-") as made:
        yield Path(made)


@pytest.mark.root
@pytest.mark.timeout(180)
def test_without_root_it_says_so_and_uses_the_recorded_set(folder):
    ran = subprocess.run(
        [*AS_A_USER, *DEMO, "--once", "--dir", str(folder)],
        capture_output=True,
        text=True,
        timeout=150,
        env={**os.environ, "COLUMNS": "160"},
    )
    assert ran.returncode == 0, ran.stderr
    assert "not root" in ran.stdout
    assert "deodar-demo-recorded" in ran.stdout


@pytest.mark.root
@pytest.mark.timeout(180)
def test_once_follows_a_marked_command_to_the_siem(folder):
    ran = subprocess.run(
        [*DEMO, "--once"],
        capture_output=True,
        text=True,
        timeout=150,
        env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "160"},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "two words" in ran.stdout
    assert "found by the search" in ran.stdout
    assert list(folder.iterdir()) == []


@pytest.mark.timeout(180)
def test_it_keeps_running_until_interrupted_and_leaves_no_process(folder):
    with (folder / "out").open("wb") as out:
        demo = subprocess.Popen([*DEMO, "--dir", str(folder / "state")], stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 90
        while b"End with Ctrl-C" not in (folder / "out").read_bytes():
            assert demo.poll() is None, (folder / "out").read_text()
            assert time.monotonic() < deadline, (folder / "out").read_text()
            time.sleep(0.1)
        children = _children(demo.pid)
        assert len(children) >= 3
    finally:
        demo.send_signal(signal.SIGINT)
    assert demo.wait(60) == 0
    assert _children(demo.pid) == []


def _children(pid: int) -> list[str]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout.split()
