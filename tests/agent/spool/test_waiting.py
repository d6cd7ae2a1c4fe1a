from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from tests.agent.spool.world import MEBIBYTE, World, numbers
from tests.agent.spool.world import packet as events

from deodar.agent.age import AgeClock
from deodar.agent.loss import LossBook
from deodar.agent.settings import SpoolSettings
from deodar.agent.spool import Spool

SMALL = SpoolSettings(maximum_bytes=MEBIBYTE, segment_bytes=64 * 1024)
PATIENT = {"delay": 30.0, "enough": 1000}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, SMALL)


def test_events_wait_for_others_until_the_delay_is_over(world: World) -> None:
    world.spool.put(events([1, 2]))
    assert world.spool.take(0, **PATIENT) is None
    world.clocks.passes(20)
    world.spool.put(events([3]))
    assert world.spool.take(0, **PATIENT) is None
    world.clocks.passes(10)
    batch = world.spool.take(0, **PATIENT)
    assert batch is not None
    assert numbers(batch.body) == [1, 2, 3]
    assert (batch.first, batch.last, batch.events) == (1, 2, 3)


def test_enough_events_do_not_wait(world: World) -> None:
    world.spool.put(events(range(999)))
    assert world.spool.take(0, **PATIENT) is None
    world.spool.put(events([999]))
    batch = world.spool.take(0, **PATIENT)
    assert batch is not None
    assert batch.events == 1000


def test_an_event_of_high_importance_does_not_wait(world: World) -> None:
    world.spool.put(events([1], "low"))
    world.spool.put(events([2], "high"))
    batch = world.spool.take(0, **PATIENT)
    assert batch is not None
    assert numbers(batch.body) == [1, 2]
    world.spool.put(events([3], "low"))
    assert world.spool.take(batch.last, **PATIENT) is None


def test_batch_that_was_given_is_given_again_at_once(world: World) -> None:
    world.spool.put(events([1], "high"))
    batch = world.spool.take(0, **PATIENT)
    world.spool.put(events([2], "low"))
    assert world.spool.take(0, **PATIENT) == batch
    world.spool.forget()
    again = world.spool.take(0, **PATIENT)
    assert again is not None
    assert numbers(again.body) == [1, 2]


def test_what_waited_before_a_restart_goes_at_once(world: World) -> None:
    world.spool.put(events([1]))
    assert world.reopen().take(0, **PATIENT) is not None


def test_waiting_costs_nothing_and_ends_when_it_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "spool", SMALL, LossBook(), AgeClock(None))
    looks = []
    time_for = spool._waiting.time_for
    monkeypatch.setattr(spool._waiting, "time_for", lambda *way: looks.append(1) or time_for(*way))
    begun = time.monotonic()
    assert spool.take(0, timeout=0.3, **PATIENT) is None
    assert time.monotonic() - begun >= 0.3
    assert len(looks) == 2
    spool.put(events([1]))
    begun = time.monotonic()
    assert spool.take(0, delay=0.3, enough=1000, timeout=20) is not None
    assert 0.1 < time.monotonic() - begun < 10
    assert len(looks) <= 5
    spool.close()


def test_waking_ends_a_wait_that_began_or_begins_later(world: World) -> None:
    timer = threading.Timer(0.05, world.spool.wake)
    timer.start()
    begun = time.monotonic()
    assert world.spool.take(0, timeout=60) is None
    timer.join()
    world.spool.wake()
    assert world.spool.take(0, timeout=60) is None
    assert time.monotonic() - begun < 30
