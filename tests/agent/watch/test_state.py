"""The watcher as a whole: when it looks, to whom it puts a change down, what it keeps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.agent.conftest import wait_for

from deodar.agent.sensors.acts import FileChange, FileOperation
from deodar.agent.sensors.base import UNKNOWN_PROCESS, Lost, ProcessKey
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.settings import AgentSettings, WatchSettings
from deodar.agent.watch import attribution
from deodar.agent.watch import state as module
from deodar.agent.watch.attribution import JUST_NOW_NS
from deodar.agent.watch.state import StateWatcher
from deodar.kit.directory import StateDirectory

if TYPE_CHECKING:
    from pathlib import Path

    from tests.agent.watch.conftest import Host

KEY = ProcessKey(4711, 12)
LINE = "bob:x:1001:1000::/home/bob:/bin/sh\n"


@pytest.fixture(autouse=True)
def with_a_sensor(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let changes wait for records of a sensor, as they do by default."""
    monkeypatch.setattr(attribution, "DOER_WITHIN", 1.0)


def saw(host: Host, path: str, key: ProcessKey = KEY) -> None:
    """Let the watcher see what a sensor tells of a file."""
    gatherer = host.watcher.gatherer
    assert gatherer is not None
    gatherer.see(FileChange(time.time_ns(), key, FileOperation.MODIFY, path.encode()))


def add_bob(host: Host) -> None:
    host.replace("etc/passwd", (host.root / "etc/passwd").read_text() + LINE)


def test_a_change_is_put_down_to_the_process_that_wrote_the_file(watched: Host) -> None:
    add_bob(watched)
    saw(watched, "/etc/passwd")
    wait_for(lambda: watched.told)
    assert watched.told[0].key == KEY


def test_a_record_that_comes_late_is_waited_for(watched: Host) -> None:
    saw(watched, "/etc/other")
    add_bob(watched)
    wait_for(lambda: len(watched.watcher._attribution))
    saw(watched, "/etc/passwd")
    wait_for(lambda: watched.told)
    assert watched.told[0].key == KEY


def test_who_wrote_one_of_the_files_of_accounts_made_the_change(watched: Host) -> None:
    watched.edit("etc/group", "sudo:x:27:", "sudo:x:27:anna")
    saw(watched, "/etc/gshadow")
    wait_for(lambda: len(watched.told) == 2)
    assert {record.key for record in watched.told} == {KEY}


def test_without_a_record_the_process_is_not_known(watched: Host) -> None:
    saw(watched, "/etc/other")
    before = time.time_ns()
    add_bob(watched)
    wait_for(lambda: watched.told)
    assert watched.told[0].key == UNKNOWN_PROCESS
    assert before <= watched.told[0].time_ns <= time.time_ns()


def test_an_older_record_of_the_file_is_of_an_earlier_change(watched: Host) -> None:
    saw(watched, "/etc/passwd", ProcessKey(1, 1))
    (doer,) = watched.watcher._doers.of("/etc/passwd", None, 0)
    wait_for(lambda: time.time_ns() - JUST_NOW_NS > doer.time_ns)
    add_bob(watched)
    wait_for(lambda: len(watched.watcher._attribution))
    saw(watched, "/etc/passwd")
    wait_for(lambda: watched.told)
    assert watched.told[0].key == KEY


def test_the_sensor_s_records_are_a_sign_where_inotify_is_none(
    watched: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched.watcher._watches, "touched", set)
    add_bob(watched)
    saw(watched, "/etc/passwd")
    watched.expect(("UserCreated", "bob"))


def test_in_the_end_the_clock_is_a_sign(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.5)
    host.start()
    monkeypatch.setattr(host.watcher._watches, "touched", set)
    add_bob(host)
    host.expect(("UserCreated", "bob"))


def test_a_look_that_fails_is_told_of_and_made_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AFTER_FAILURE", 0.1)
    host.start()
    failing = host.watcher._courses["accounts"].survey
    monkeypatch.setattr(failing, "look", lambda *_: 1 / 0)
    add_bob(host)
    wait_for(lambda: host.told)
    assert isinstance(host.told[0], Lost)
    assert host.told[0].reason == "a look failed: ZeroDivisionError: division by zero"
    monkeypatch.undo()
    wait_for(lambda: ("UserCreated", "bob") in host.changes)


def test_what_changes_once_it_is_open_is_told(host: Host) -> None:
    host.watcher.open(host.told.extend)
    add_bob(host)
    host.expect(("UserCreated", "bob"))


def test_it_can_be_opened_again_and_closed_twice(watched: Host) -> None:
    watched.restart()
    add_bob(watched)
    watched.expect(("UserCreated", "bob"))
    watched.watcher.close()
    watched.watcher.close()


def test_a_kept_state_that_is_damaged_begins_anew(watched: Host) -> None:
    watched.watcher.close()
    watched.state.write("watch-accounts.json", b"{")
    watched.restart()
    wait_for(lambda: watched.watcher._courses["accounts"].is_saved)
    assert "what changed while the agent was stopped is not told" in watched.told[0].reason
    watched.expect_nothing()


def test_it_says_when_it_cannot_watch(tmp_path: Path) -> None:
    absent, folder = tmp_path / "absent", StateDirectory.create(tmp_path / "state")
    settings = AgentSettings(agent_id="a", watch=WatchSettings(root=str(absent)))
    with pytest.raises(SensorUnavailable, match="No such file"):
        StateWatcher(settings, folder).open(lambda _: None)
    with pytest.raises(SensorUnavailable, match="cannot write"):
        StateWatcher(AgentSettings(agent_id="a"), StateDirectory(absent)).open(lambda _: None)
