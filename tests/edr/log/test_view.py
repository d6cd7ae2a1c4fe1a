from __future__ import annotations

import uuid

import pytest

from deodar.edr.log.lineage import Epoch, Lineage
from deodar.edr.log.view import View
from deodar.edr.log.voids import Void, Voids

EPOCH = uuid.uuid4().bytes


@pytest.fixture
def view(engine) -> View:
    return View(engine, Lineage([Epoch(EPOCH, 0)]), (11, 20))


def test_a_reader_may_stand_anywhere_between_the_floor_and_the_watermark(view):
    assert view.problem(EPOCH, 10) is None
    assert view.problem(EPOCH, 20) is None
    assert "outdated" in view.problem(EPOCH, 9)
    assert "ahead" in view.problem(EPOCH, 21)
    assert "another event log" in view.problem(uuid.uuid4().bytes, 15)


def test_what_was_given_up_is_outdated(view):
    view.give_up(15)
    view.give_up(12)
    assert (view.floor, view.problem(EPOCH, 15)) == (15, None)
    assert "outdated" in view.problem(EPOCH, 14)


def test_numbers_in_a_void_range_are_no_events_to_be_behind_by(view):
    view.voids = Voids([Void(12, 18)])
    assert [view.behind(seq) for seq in (10, 12, 15, 18, 20, 25)] == [4, 2, 2, 2, 0, 0]
