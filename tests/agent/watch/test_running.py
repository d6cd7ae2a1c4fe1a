from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from deodar.agent.enrich.proc import live_process
from deodar.agent.watch.running import AT_ONCE, FILE, RunningWatcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.agent.sensors.acts import RunningProcess


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    made = [subprocess.Popen(["sleep", "600"]) for _ in range(3)]
    yield made
    for one in made:
        one.kill()
        one.wait()


class Run:
    """One run of the watcher, to its end."""

    def __init__(self, folder, pause: float = 0.001) -> None:
        self.records: list[RunningProcess] = []
        self.batches: list[int] = []
        self.watcher = RunningWatcher(folder, pause)
        self.watcher.open(self._put)

    def _put(self, records) -> None:
        self.records += records
        self.batches.append(len(records))

    def pids(self) -> set[int]:
        return {record.key.pid for record in self.records}


@pytest.fixture
def run(tmp_path, until):
    def to_its_end() -> Run:
        file = tmp_path / FILE
        before = file.stat().st_mtime_ns if file.exists() else 0
        made = Run(tmp_path)
        until(lambda: file.exists() and file.stat().st_mtime_ns > before)  # all are told
        made.watcher.close()
        return made

    return to_its_end


def pids_of(sleepers) -> set[int]:
    return {one.pid for one in sleepers}


def test_each_is_told_once_parents_first(run, sleepers):
    first = run()
    assert pids_of(sleepers) <= first.pids()
    assert len(first.records) == len(first.pids())
    starts = [record.key.start for record in first.records]
    assert starts == sorted(starts)
    assert live_process(sleepers[0].pid).key in [record.key for record in first.records]
    assert os.getpid() not in first.pids()
    assert not any(pid in first.pids() for pid in (2,))  # a kernel thread
    assert not pids_of(sleepers) & run().pids()


def test_what_started_while_no_agent_ran_is_told_at_the_next_start(run, sleepers):
    run()
    time.sleep(0.02)  # two ticks of the clock that starts are counted in
    late = subprocess.Popen(["sleep", "600"])
    try:
        second = run()
    finally:
        late.kill()
        late.wait()
    assert late.pid in second.pids()
    assert not pids_of(sleepers) & second.pids()


def test_after_a_reboot_all_are_told_again(run, sleepers, monkeypatch):
    run()
    monkeypatch.setattr("deodar.agent.watch.running.boot_id", lambda: "another")
    assert pids_of(sleepers) <= run().pids()


def test_what_was_not_told_before_the_stop_is_told_after_it(tmp_path, sleepers, run, until):
    first = Run(tmp_path, pause=600)
    until(lambda: first.batches)
    first.watcher.close()
    assert first.batches == [AT_ONCE]
    second = run()
    assert not first.pids() & second.pids()
    assert pids_of(sleepers) <= first.pids() | second.pids()
    assert max(second.batches) <= AT_ONCE


def test_a_damaged_file_means_that_all_are_told(tmp_path, run, sleepers):
    run()
    (tmp_path / FILE).write_text("{")
    assert pids_of(sleepers) <= run().pids()
