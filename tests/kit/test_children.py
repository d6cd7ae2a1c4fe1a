from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deodar.kit.children import Child, ChildError

READY = 'import time; print(\'{"ready": true, "port": 7}\', flush=True); time.sleep(60)'


def _child(code: str, logs) -> Child:
    return Child("part", [sys.executable, "-c", code], logs)


def test_the_ready_line_is_returned_and_the_child_stops(tmp_path):
    child = _child(READY, tmp_path).start()
    assert child.ready() == {"ready": True, "port": 7}
    assert child.alive
    assert child.stop() == -signal.SIGTERM
    assert not child.alive


def test_a_child_that_ends_first_is_reported_with_its_last_words(tmp_path):
    child = _child("import sys; print('no disk', file=sys.stderr); sys.exit(3)", tmp_path).start()
    with pytest.raises(ChildError, match=r"part ended with 3: .*no disk"):
        child.ready()


def test_a_child_that_never_gets_ready_is_reported(tmp_path):
    child = _child("import time; time.sleep(60)", tmp_path).start()
    try:
        with pytest.raises(ChildError, match=r"not ready in 0\.2 s"):
            child.ready(0.2)
    finally:
        child.kill()


def test_another_first_line_is_an_error(tmp_path):
    child = _child("print('hello')", tmp_path).start()
    with pytest.raises(ChildError, match="hello"):
        child.ready()
    child.wait(10)


def test_a_child_that_ignores_the_request_is_killed(tmp_path):
    code = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}"
    child = _child(code, tmp_path).start()
    child.ready()
    assert child.stop(0.3) == -signal.SIGKILL


def test_what_was_not_started_cannot_be_stopped(tmp_path):
    with pytest.raises(ChildError, match="not started"):
        _child(READY, tmp_path).stop()


def test_children_end_when_their_parent_is_killed(tmp_path):
    code = (
        "import pathlib, sys, time\n"
        "from deodar.kit.children import Child\n"
        f"logs = pathlib.Path({str(tmp_path)!r})\n"
        f"child = Child('inner', [sys.executable, '-c', {READY!r}], logs)\n"
        "child.start().ready()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    inner = int(parent.stdout.readline())
    parent.kill()
    parent.wait(10)
    deadline = time.monotonic() + 10
    while _runs(inner) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(inner)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat").read_text("ascii")
        return stat.rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
