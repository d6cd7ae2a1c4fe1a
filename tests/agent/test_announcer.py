from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from deodar.agent.announcer import KILLED, STOPPED, Announcer
from deodar.agent.enrich.host import HostFacts
from deodar.agent.loss import LossBook
from deodar.agent.settings import SpoolSettings
from deodar.agent.spool import Spool
from deodar.agent.tasks.manager import TaskState
from deodar.events import check

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = HostFacts("host-1", "Linux", "Debian GNU/Linux 12", "6.1.0", "boot-1", "machine-1")
STATE = TaskState(id=24, name="KATAEDR", type="KATAEDR", state="Stopped", error="no way")


@pytest.fixture
def book(tmp_path: Path) -> LossBook:
    return LossBook(tmp_path / "losses.json")


@pytest.fixture
def spool(tmp_path: Path, book: LossBook) -> Iterator[Spool]:
    opened = Spool(tmp_path / "spool", SpoolSettings(), book)
    yield opened
    opened.close()


@pytest.fixture
def announcer(spool: Spool) -> Announcer:
    return Announcer(spool, HOST, "agent-1", "1.2.3")


def events_of(spool: Spool) -> list[dict[str, Any]]:
    batch = spool.take(delay=3600, timeout=1)  # in spite of the delay: each of them is urgent
    assert batch is not None
    text = zstandard.ZstdDecompressor().stream_reader(batch.body, read_across_frames=True).read()
    return [json.loads(line) for line in text.splitlines()]


def test_a_task_that_was_stopped_is_told_at_once(announcer: Announcer, spool: Spool) -> None:
    announcer.task_state(STATE, "User")
    (event,) = events_of(spool)
    assert event["EventType"] == "agent_task_state"
    assert (event["TaskName"], event["TaskState"]) == ("KATAEDR", "Stopped")
    assert (event["TaskReason"], event["Initiator"]) == ("no way", "User")
    assert event["AgentId"] == "agent-1"
    assert check(event) == []


def test_a_start_and_a_stop_are_told_with_their_reasons(announcer: Announcer, spool: Spool) -> None:
    announcer.started("start of the service", None)
    announcer.started("after a kill", 1_700_000_000.5)
    announcer.stopped("SIGTERM")
    clean, unclean, stop = events_of(spool)
    assert (clean["EventType"], clean["AgentUnclean"]) == ("agent_start", 0)
    assert "AgentLastSeen" not in clean
    assert (unclean["AgentUnclean"], unclean["AgentLastSeen"]) == (1, 1_700_000_000_500_000)
    assert (stop["EventType"], stop["AgentReason"]) == ("agent_stop", "SIGTERM")
    assert clean["AgentVersion"] == "1.2.3"
    assert [check(event) for event in (clean, unclean, stop)] == [[], [], []]


@pytest.mark.parametrize(("killed", "reason"), [(True, KILLED), (False, STOPPED)])
def test_a_time_without_an_agent_is_told_with_its_begin_and_end(
    announcer: Announcer, spool: Spool, killed: bool, reason: str
) -> None:
    announcer.absence(1000.5, killed=killed)
    (event,) = events_of(spool)
    assert event["EventType"] == "telemetry_loss"
    assert (event["LostCount"], event["LostReason"]) == (0, reason)
    assert event["LostFirstTime"] == 1_000_500_000 < event["LostLastTime"]
    assert check(event) == []


def test_an_absence_that_begins_in_the_future_by_a_stepped_clock_has_no_length(
    announcer: Announcer, spool: Spool
) -> None:
    announcer.absence(4e9, killed=True)
    (event,) = events_of(spool)
    assert event["LostFirstTime"] == event["LostLastTime"]


def test_a_loss_leaves_the_book_when_the_event_that_tells_of_it_is_stored(
    announcer: Announcer, spool: Spool, book: LossBook, tmp_path: Path
) -> None:
    book.add(7, "queue", "too much", 5_000, 6_000)
    announcer.losses(book)
    (event,) = events_of(spool)
    assert (event["LostCount"], event["LostStage"], event["LostReason"]) == (7, "queue", "too much")
    assert LossBook(tmp_path / "losses.json").take() == []
