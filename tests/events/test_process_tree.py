from __future__ import annotations

import random
from typing import Any

import pytest

from deodar.events import samples
from deodar.events.builders import EventBuilder
from deodar.events.process_tree import ProcessTree


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    return EventBuilder(11).events(6000)


def test_what_ends_is_what_started_and_ends_once(events: list[dict[str, Any]]) -> None:
    started = {e["UniquePid"]: e for e in events if e["EventType"] in ("process", "process_fork")}
    ended = [e for e in events if e["EventType"] == "process_terminate"]
    assert len(ended) > 1000
    assert len({e["UniquePid"] for e in ended}) == len(ended)
    for end in ended:
        start = started.get(end["UniquePid"])
        if start is not None:
            assert start["Sha256"] == end["Sha256"]
            assert end["Timestamp"] - start["Timestamp"] == end["RunTimeUs"]
    assert sum(e["UniquePid"] in started for e in ended) > 0.9 * len(ended)


def test_a_child_tells_of_its_parent_what_the_parent_told_of_itself(
    events: list[dict[str, Any]],
) -> None:
    starts = [e for e in events if e["EventType"] == "process"]
    by_id = {e["UniquePid"]: e for e in starts}
    pairs = [(by_id[e["UniqueParentPid"]], e) for e in starts if e["UniqueParentPid"] in by_id]
    assert len(pairs) > 100
    for parent, child in pairs:
        assert child["ParentSystemPid"] == parent["SystemPid"]
        assert child["ParentStartupParameters"] == parent["StartupParameters"]
        assert child["ParentFileFullName"] == parent["FileFullName"]
        assert child["ParentMd5"] == parent["Md5"]
        assert child["ParentSha256"] == parent["Sha256"]
        assert child["Timestamp"] > parent["Timestamp"]


def test_nothing_happens_in_a_process_that_has_ended(events: list[dict[str, Any]]) -> None:
    gone: set[str] = set()
    for event in events:
        pid = event.get("UniquePid")
        if event["OsFamily"] == "Linux" and pid:
            assert pid not in gone
            assert event.get("UniqueParentPid") not in gone
        if event["EventType"] == "process_terminate":
            gone.add(event["UniquePid"])


def test_a_fork_runs_its_parents_program() -> None:
    builder = EventBuilder(1)
    for event in (builder.event("process_fork") for _ in range(20)):
        assert event["FileFullName"] == event["ParentFileFullName"]
        assert event["StartupParameters"] == event["ParentStartupParameters"]
        assert event["UniquePid"] != event["UniqueParentPid"]


def test_processes_have_ended_with_a_code_or_by_a_signal() -> None:
    builder = EventBuilder(1)
    ends = [builder.event("process_terminate") for _ in range(200)]
    assert all(("ExitCode" in e) != ("ExitSignal" in e) for e in ends)
    assert {"ExitCode", "ExitSignal"} <= {key for e in ends for key in e}


def test_the_number_of_live_processes_is_bounded() -> None:
    tree = ProcessTree(random.Random(1), 0)
    pids = {tree.start(now).unique_pid for now in range(1, 2000)}
    assert len(pids) == 1999
    assert len(tree) <= 200


def test_shells_and_services_stay() -> None:
    tree = ProcessTree(random.Random(1), 0)
    shells = {tree.shell().pid for _ in range(100)}
    for now in range(500):
        assert tree.end(now).pid not in shells
    assert {tree.shell().pid for _ in range(100)} == shells
    assert len(shells) == len(samples.PEOPLE)
