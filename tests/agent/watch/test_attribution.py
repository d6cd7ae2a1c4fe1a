"""With the whole watcher it is tested in test_state.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.agent.sensors.acts import FileChange, FileOperation
from deodar.agent.sensors.base import UNKNOWN_PROCESS, ProcessKey
from deodar.agent.watch import attribution as module
from deodar.agent.watch.attribution import DOER_WITHIN, JUST_NOW_NS, NEVER, OF_LATE_NS, Attribution
from deodar.agent.watch.course import Found
from deodar.agent.watch.doers import Doers
from deodar.agent.watch.records import ServiceChange

if TYPE_CHECKING:
    from deodar.agent.watch.files import Files

SINCE = 10**15
KEY = ProcessKey(7, 8)


@pytest.fixture
def doers() -> Doers:
    return Doers(("/",), lambda _: None)


@pytest.fixture
def attribution(doers: Doers, files: Files, monkeypatch: pytest.MonkeyPatch) -> Attribution:
    monkeypatch.setattr(module, "DOER_WITHIN", DOER_WITHIN)  # which `files` has lowered
    return Attribution(doers, files)


def wrote(doers: Doers, path: str, time_ns: int) -> None:
    doers.see(FileChange(time_ns, KEY, FileOperation.MODIFY, path.encode()))


def found(*files: str, meanwhile: bool = False) -> Found:
    changes = [ServiceChange(0, UNKNOWN_PROCESS, "Created", file, (), meanwhile) for file in files]
    return Found(changes, (), SINCE)


def test_a_change_waits_for_its_doer(attribution: Attribution, doers: Doers) -> None:
    assert attribution.due(0.0) == NEVER
    attribution.add(found("/a", "/b"), {}, 100.0)
    assert attribution.due(100.0) == 100.0 + DOER_WITHIN
    assert attribution.take(100.0) == []
    wrote(doers, "/b", SINCE + 5)
    (change,) = attribution.take(100.0 + DOER_WITHIN / 2)
    assert (change.file, change.key, change.time_ns) == ("/b", KEY, SINCE + 5)
    (change,) = attribution.take(100.0 + DOER_WITHIN)
    assert (change.file, change.key, change.time_ns) == ("/a", UNKNOWN_PROCESS, SINCE)
    assert len(attribution) == 0


def test_an_older_record_counts_only_when_no_newer_one_came(
    attribution: Attribution, doers: Doers
) -> None:
    wrote(doers, "/a", SINCE - 2 * JUST_NOW_NS)
    wrote(doers, "/b", SINCE - 2 * OF_LATE_NS)
    attribution.add(found("/a", "/b"), {}, 100.0)
    assert attribution.take(100.0) == []
    assert [change.key for change in attribution.take(200.0)] == [KEY, UNKNOWN_PROCESS]


def test_files_that_are_written_together_have_one_doer(
    attribution: Attribution, doers: Doers
) -> None:
    wrote(doers, "/b", SINCE)
    attribution.add(found("/a"), {"/a": ("/a", "/b")}, 100.0)
    assert [change.key for change in attribution.take(100.0)] == [KEY]


def test_who_made_a_change_wrote_all_files_that_it_shows_in(
    attribution: Attribution, doers: Doers
) -> None:
    other = ProcessKey(9, 9)
    wrote(doers, "/a", SINCE)
    wrote(doers, "/b", SINCE + 1)
    doers.see(FileChange(SINCE + 2, other, FileOperation.MODIFY, b"/a"))
    both, one = found("/a", "/a").changes
    both.also = ("/b",)
    attribution.add(Found((both, one), (), SINCE), {}, 100.0)
    assert [change.key for change in attribution.take(100.0)] == [KEY, other]


def test_what_changed_meanwhile_has_no_doer(attribution: Attribution, doers: Doers) -> None:
    wrote(doers, "/a", SINCE)
    attribution.add(found("/a", meanwhile=True), {}, 100.0)
    assert [change.key for change in attribution.take(100.0)] == [UNKNOWN_PROCESS]


def test_many_are_handed_on_in_turns(
    attribution: Attribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    attribution.add(found(*"abcde"), {}, 100.0)
    assert [len(attribution.take(200.0)) for _ in range(2)] == [2, 2]
    assert [change.file for change in attribution.take(200.0, last=True)] == ["e"]
