from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.hashing import process as module
from deodar.agent.hashing import wire
from deodar.agent.hashing.errors import ProcessDied, ProcessHung, ProcessUnavailable
from deodar.agent.hashing.process import HashProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.hashing.opener import Opened

CONTENT = b"abab" * 1000
SMALL = 14_000_000
LIMIT = 60.0
PARENT = """
import sys, time
from deodar.agent.hashing import wire
from deodar.agent.hashing.opener import open_first
from deodar.agent.hashing.process import HashProcess
process = HashProcess(lambda _: None)
process.ask(wire.DIGEST, open_first(None, ["/bin/true"]), 60)
print(process.pid, flush=True)
time.sleep(600)
"""


def digest(process: HashProcess, opened: Opened, limit: float = LIMIT) -> str:
    outcome, result = process.ask(wire.DIGEST, opened, limit)
    assert outcome == wire.DONE
    return wire.DIGESTS.unpack(result)[2].hex()


def test_it_is_started_on_first_need_and_serves_on(
    process: HashProcess, opened: Callable[[bytes], Opened], spent: list[float]
) -> None:
    assert (process.pid, process.starts) == (None, 0)
    for content in (CONTENT, b"other"):
        assert digest(process, opened(content)) == hashlib.sha256(content).hexdigest()
    assert process.starts == 1
    fuzzy = process.ask(wire.FUZZY, opened(CONTENT), LIMIT)
    assert fuzzy.outcome == wire.DONE
    assert fuzzy.result.count(b":") == 2
    assert sum(spent) > 0


def test_it_is_small_and_humble(process: HashProcess, opened: Callable[[bytes], Opened]) -> None:
    digest(process, opened(CONTENT))
    folder = Path(f"/proc/{process.pid}")
    lines = (folder / "status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert int(status["VmRSS"].split()[0]) * 1024 < SMALL
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert int(status["CapEff"], 16) == 0
    if os.geteuid() == 0:
        assert status["Uid"].split() == ["65534"] * 4
    assert {int(link.name) for link in (folder / "fd").iterdir()} == {0, 1, 2, 3, 4}


def test_signals_for_the_agent_do_not_end_it(
    process: HashProcess, opened: Callable[[bytes], Opened]
) -> None:
    digest(process, opened(CONTENT))
    pid = process.pid
    assert pid is not None
    for number in (signal.SIGTERM, signal.SIGINT):  # of systemd, of a terminal
        os.kill(pid, number)
    assert digest(process, opened(b"after")) == hashlib.sha256(b"after").hexdigest()
    assert process.pid == pid


def test_quick_lane_does_not_wait_for_the_slow_one(
    process: HashProcess, opened: Callable[[bytes], Opened]
) -> None:
    large, small = opened(os.urandom(1_500_000)), opened(CONTENT)
    digest(process, small)
    done: list[object] = []
    thread = threading.Thread(
        target=lambda: done.append(process.ask(wire.FUZZY, large, LIMIT)), daemon=True
    )
    thread.start()
    for _ in range(3):
        digest(process, small)
    assert done == []
    thread.join(LIMIT)
    assert len(done) == 1


def test_it_is_started_again_after_a_death(
    process: HashProcess, opened: Callable[[bytes], Opened], until: Callable[..., Any]
) -> None:
    file = opened(CONTENT)
    digest(process, file)
    kill(process)
    with pytest.raises(ProcessDied):
        digest(process, file)
    assert digest(process, file) == hashlib.sha256(CONTENT).hexdigest()
    kill(process)
    with pytest.raises(ProcessDied):
        digest(process, file)
    with pytest.raises(ProcessUnavailable, match="again in a while"):
        digest(process, file)

    def works_again() -> bool:
        with contextlib.suppress(ProcessUnavailable):
            return bool(digest(process, file))
        return False

    until(works_again)
    assert process.starts == 3


def test_one_that_hangs_costs_a_bounded_time(
    process: HashProcess, opened: Callable[[bytes], Opened], until: Callable[..., Any]
) -> None:
    file = opened(CONTENT)
    digest(process, file)
    pid = process.pid
    assert pid is not None
    stop(pid, until)
    with pytest.raises(ProcessHung):
        digest(process, file, 0.2)
    assert not Path(f"/proc/{pid}").exists()
    assert digest(process, file) == hashlib.sha256(CONTENT).hexdigest()


def test_time_of_one_that_died_counts_too(
    process: HashProcess, opened: Callable[[bytes], Opened], spent: list[float]
) -> None:
    digest(process, opened(CONTENT))
    before = sum(spent)
    large = opened(os.urandom(20_000_000))  # seconds of work
    with pytest.raises(ProcessHung):
        process.ask(wire.FUZZY, large, 0.5)
    assert sum(spent) > before


def test_it_ends_with_the_agent_even_when_it_hangs(until: Callable[..., Any]) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        stop(pid, until)
        parent.kill()
    until(lambda: has_ended(pid))


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or waits for a parent that does not look."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "ZX"
    except FileNotFoundError:
        return True


def test_it_that_does_not_come_up_is_told(
    process: HashProcess, opened: Callable[[bytes], Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CODE", "raise SystemExit('cannot')")
    with pytest.raises(ProcessUnavailable, match="did not come up"):
        digest(process, opened(CONTENT))
    assert process.pid is None


def test_it_ends_when_it_has_nothing_to_do(
    process: HashProcess, opened: Callable[[bytes], Opened], until: Callable[..., Any]
) -> None:
    process.rest()
    digest(process, opened(CONTENT))
    large = opened(os.urandom(1_500_000))
    first, done = process.pid, []
    thread = threading.Thread(target=lambda: done.append(process.ask(wire.FUZZY, large, LIMIT)))
    thread.start()
    running = process._running
    assert running is not None
    until(lambda: running.is_in_use)
    process.rest()
    thread.join(LIMIT)
    assert done[0].outcome == wire.DONE
    assert process.pid == first
    process.rest()
    assert process.pid is None
    assert not Path(f"/proc/{first}").exists()
    for _ in range(3):  # that was no death, after which the next start would wait
        digest(process, opened(CONTENT))
        process.rest()


def test_after_the_end_none_is_started(
    process: HashProcess, opened: Callable[[bytes], Opened]
) -> None:
    digest(process, opened(CONTENT))
    pid = process.pid
    process.close()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(ProcessUnavailable, match="stopped"):
        digest(process, opened(CONTENT))


def stop(pid: int, until: Callable[..., Any]) -> None:
    """Let a process hang: its threads do not stop all at once."""
    os.kill(pid, signal.SIGSTOP)
    tasks = list(Path(f"/proc/{pid}/task").glob("*/stat"))
    until(lambda: all(" T " in task.read_text() for task in tasks))


def kill(process: HashProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
