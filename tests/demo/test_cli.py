"""The demonstration as a user runs it, without a sensor and, as root, with one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

DEMO = (sys.executable, "-m", "deodar", "demo")


@pytest.mark.timeout(180)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it drops to another user itself")
def test_without_root_it_says_so_and_uses_the_recorded_set(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    for folder in [home, *tmp_path.parents]:
        if folder.is_relative_to("/tmp") and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o711)
    os.chown(home, 65534, 65534)
    ran = subprocess.run(
        [*DEMO, "--once", "--dir", str(home)],
        capture_output=True,
        text=True,
        timeout=150,
        user=65534,
        group=65534,
        env={**os.environ, "HOME": str(home), "COLUMNS": "160"},
    )
    assert ran.returncode == 0, ran.stderr
    assert "not root" in ran.stdout
    assert "deodar-demo-recorded" in ran.stdout


@pytest.mark.root
@pytest.mark.timeout(180)
def test_once_follows_a_marked_command_to_the_siem(tmp_path):
    ran = subprocess.run(
        [*DEMO, "--once"],
        capture_output=True,
        text=True,
        timeout=150,
        env={**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "160"},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "two words" in ran.stdout
    assert "found by the search" in ran.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(180)
def test_it_keeps_running_until_interrupted_and_leaves_no_process(tmp_path):
    with (tmp_path / "out").open("wb") as out:
        demo = subprocess.Popen([*DEMO, "--dir", str(tmp_path / "state")], stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 90
        while b"End with Ctrl-C" not in (tmp_path / "out").read_bytes():
            assert demo.poll() is None, (tmp_path / "out").read_text()
            assert time.monotonic() < deadline, (tmp_path / "out").read_text()
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
