from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.agent.journal.test_follower import switches
from tests.agent.journal.test_syslog_output import Daemon

from deodar.agent.journal.query import parse
from deodar.agent.journal.record import EventType
from deodar.agent.journal.store import LIMIT, EventStore, ReadOnlyStore
from deodar.agent.journal.syslog_output import SyslogOutput
from deodar.tasks.declarations import find
from deodar.tasks.settings import ApplicationSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.agent.journal.conftest import Clock

    from deodar.agent.journal.record import Record

EVERYTHING = parse("")


def test_what_was_added_is_found(store: EventStore) -> None:
    before = time.time()
    added = store.add(
        EventType.TASK_STATE_CHANGED,
        level="Warning",
        task=find("KATAEDR"),
        initiator="User",
        runtime_task_id=4,
        TaskState="Stopped",
        reason=None,
    )
    assert list(store.select(EVERYTHING)) == [added]
    assert added.event_id == 1
    assert before - 0.001 <= added.date <= time.time()
    assert (added.danger_level, added.initiator) == ("Warning", "User")
    assert (added.task_id, added.task_name, added.runtime_task_id) == (24, "KATAEDR", 4)
    assert added.task_type == find("24").type
    assert added.details == {"TaskState": "Stopped"}


def test_a_type_says_how_much_it_matters(store: EventStore) -> None:
    assert store.add("ServerRefused").danger_level == "Critical"
    assert store.add("ServerConnected").danger_level == "Info"
    assert store.add("OfALaterVersion").danger_level == "Info"


def test_the_same_again_is_counted_and_shown_with_its_count(
    store: EventStore, clock: Clock
) -> None:
    for _ in range(5):
        record = store.add("ServerUnavailable", problem="refused")
    assert record.details["RepeatCount"] == "5"
    assert list(store.select(EVERYTHING)) == [record]
    clock.now += 61
    assert store.add("ServerUnavailable", problem="refused").event_id == 2


def test_counts_survive_a_close(store: EventStore, tmp_path: Path) -> None:
    for _ in range(7):
        store.add("ServerUnavailable", problem="refused")
    store.close()
    reader = ReadOnlyStore(tmp_path / "events.db")
    assert [r.details["RepeatCount"] for r in reader.select(EVERYTHING)] == ["7"]
    reader.close()


def test_numbers_go_on_after_a_restart(store: EventStore, tmp_path: Path) -> None:
    store.add("ApplicationStarted")
    store.close()
    again = EventStore(tmp_path / "events.db")
    assert again.add("ApplicationStarted").event_id == 2
    again.close()


def test_threads_lose_nothing_and_followers_see_the_order(store: EventStore) -> None:
    follower = store.follow(EVERYTHING)

    def add(name: str) -> None:
        for number in range(200):
            store.add(f"Type{name}{number}")

    threads = [threading.Thread(target=add, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = list(store.select(EVERYTHING))
    assert len(found) == 800
    assert [next(follower) for _ in found] == found
    for name in "abcd":
        own = [r.event_type for r in found if r.event_type.startswith(f"Type{name}")]
        assert own == [f"Type{name}{number}" for number in range(200)]


def test_a_selection_does_not_hold_up_who_adds(store: EventStore) -> None:
    for number in range(10):
        store.add(f"Type{number}")
    selection = store.select(EVERYTHING)
    next(selection)
    store.add("Meanwhile")
    store.set_limit(1)
    assert len(list(selection)) == 9  # what it had begun with
    assert [r.event_type for r in store.select(EVERYTHING)] == ["Meanwhile"]


def test_following_begins_with_the_call_and_sleeps(store: EventStore) -> None:
    store.add("Before")
    follower = store.follow(parse("EventType like 'T%'"))
    found: list[Record] = []
    thread = threading.Thread(target=lambda: found.extend(follower))
    thread.start()
    time.sleep(0.2)
    before = switches(thread)
    time.sleep(0.5)
    assert switches(thread) == before
    store.add("Tick")
    store.add("Other")
    store.add("Tock")
    store.close()
    thread.join(5)
    assert not thread.is_alive()
    assert [r.event_type for r in found] in (["Tick", "Tock"], ["Tick"], [])
    assert store._followers == []


def test_after_the_end_nothing_is_stored_and_nothing_fails(store: EventStore) -> None:
    store.add("Last")
    store.close()
    store.close()
    assert store.add("TooLate").event_id == 0
    assert list(store.follow(EVERYTHING)) == []


@pytest.mark.setting("Application.UseSyslog")
def test_syslog_when_it_is_on(tmp_path: Path, saw: Callable[[str, str], None]) -> None:
    daemon = Daemon(tmp_path / "log")
    store = EventStore(tmp_path / "events.db", syslog=SyslogOutput(str(daemon.path)))
    store.set_syslog(ApplicationSettings().use_syslog)
    store.add("NotYet")
    store.set_syslog(True)
    store.add("ServerConnected", server="edr:443")
    line = daemon.read()
    assert "EventType=ServerConnected" in line
    assert line.endswith("Server=edr:443")
    store.set_syslog(False)
    store.add("NoMore")
    daemon.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        daemon.read()
    store.close()
    daemon.stop()
    saw("Application.UseSyslog", "of three events, the one added while it was on came to syslog")


@pytest.mark.setting("Application.MaxEventsNumber")
def test_never_more_events_than_the_setting_says(
    tmp_path: Path, saw: Callable[[str, str], None]
) -> None:
    store = EventStore(tmp_path / "events.db", 200)
    most = 0
    for number in range(500):
        store.add(f"Type{number}")
        first, last = store.ends()
        most = max(most, last - first + 1)
    found = list(store.select(EVERYTHING))
    assert most == 200
    assert len(found) >= 198
    assert found[-1].event_type == "Type499"
    store.set_limit(50)
    assert next(store.select(EVERYTHING)).event_type == "Type450"
    store.set_limit(ApplicationSettings().max_events_number)
    assert ApplicationSettings().max_events_number == LIMIT == 500_000
    store.close()
    saw(
        "Application.MaxEventsNumber",
        f"limit 200: of 500 events never more than {most} in the file, the newest; "
        "lowered to 50: the newest 50 at once",
    )


def test_trouble_with_the_disk_is_no_error(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "absent" / "events.db")
    added = store.add("ApplicationStarted")
    assert store.problem
    assert list(store.select(EVERYTHING, 1, reverse=True)) == [added]
    (tmp_path / "absent").mkdir()
    types = [r.event_type for r in store.select(EVERYTHING)]
    assert types == ["ApplicationStarted", "DiskProblem"]
    assert store.problem == ""
    assert store.dropped == 0
    store.close()


def test_counts_go_to_the_right_event_after_other_numbers(
    store: EventStore, tmp_path: Path
) -> None:
    store.add("First")
    store.close()
    aside = tmp_path / "aside"
    aside.mkdir()
    late = EventStore(aside / "gone" / "events.db")
    late.add("ServerUnavailable")
    (aside / "gone").mkdir()
    (tmp_path / "events.db").rename(aside / "gone" / "events.db")
    late.ends()  # opens the file
    late.add("ServerUnavailable")
    found = [
        (r.event_id, r.event_type, r.details.get("RepeatCount")) for r in late.select(EVERYTHING)
    ]
    assert found[:2] == [(1, "First", None), (2, "ServerUnavailable", None)]
    late.close()


def test_adding_is_cheap(store: EventStore) -> None:
    begin = time.process_time()
    for number in range(1000):
        store.add(f"Type{number}", text="x" * 100)
    assert (time.process_time() - begin) / 1000 < 0.002


def test_the_running_agent_stays_small_by_it() -> None:
    program = (
        "import sys; from deodar.agent.journal import store; "
        "from deodar.agent.control import server; "
        "print([m for m in ('lark','cryptography','typer','httpx','email','sqlalchemy')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
