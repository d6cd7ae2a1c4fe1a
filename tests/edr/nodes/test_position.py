from __future__ import annotations

import pytest

from deodar.edr import writer_lock
from deodar.edr.errors import NotWriter
from deodar.edr.log.voids import Void
from deodar.edr.nodes.position import GAP, Position, Positions, confirm
from deodar.edr.settings import MOST_GROUP_EVENTS, Ingest


@pytest.fixture
def positions(shared) -> Positions:
    return Positions(shared)


@pytest.fixture
def lock(shared):
    made = shared.session_lock(writer_lock.KEY)
    assert made.take()
    yield made
    made.release()


def test_a_gap_is_wider_than_any_block():
    assert Ingest().group_events <= MOST_GROUP_EVENTS < GAP
    assert Ingest().max_packet_events <= MOST_GROUP_EVENTS


def test_a_first_term_begins_behind_what_is_there(positions):
    begun = positions.begin(positions.read(), 40, "one")
    assert (begun.term, begun.seq, begun.writer) == (1, 40 + GAP, "one")
    assert list(begun.voids) == [Void(40, 40 + GAP)]
    assert positions.read() == begun


def test_what_was_committed_is_seen_by_all(positions, lock):
    begun = positions.begin(positions.read(), 0, "one")
    confirm(lock, begun.term, begun.seq + 5)
    assert positions.read().seq == begun.seq + 5
    with pytest.raises(NotWriter):  # never backwards
        confirm(lock, begun.term, begun.seq + 4)


def test_one_that_was_replaced_commits_nothing(positions, lock):
    first = positions.begin(positions.read(), 0, "one")
    second = positions.begin(first, first.seq + 7, "two")
    assert second.term == 2
    with pytest.raises(NotWriter):
        confirm(lock, first.term, first.seq + 9)
    assert positions.read().seq == second.seq == first.seq + 7 + GAP


def test_one_without_the_lock_commits_nothing(positions, lock):
    begun = positions.begin(positions.read(), 0, "one")
    lock.release()
    with pytest.raises(NotWriter):
        confirm(lock, begun.term, begun.seq + 1)
    assert positions.read().seq == begun.seq


def test_one_that_looked_too_early_begins_no_term(positions):
    before = positions.read()
    positions.begin(before, 10, "one")
    with pytest.raises(NotWriter, match="one has begun term 1"):
        positions.begin(before, 10, "two")


def test_terms_without_events_between_them_leave_one_gap(positions):
    position = Position()
    for name in ("one", "two", "three"):
        position = positions.begin(position, 10, name)
    assert list(position.voids) == [Void(10, 10 + 3 * GAP)]


def test_terms_with_events_between_them_leave_a_gap_each(positions, lock):
    first = positions.begin(Position(), 10, "one")
    confirm(lock, 1, first.seq + 100)
    second = positions.begin(positions.read(), first.seq + 120, "two")
    ends = first.seq, first.seq + 120
    assert list(second.voids) == [Void(10, ends[0]), Void(ends[1], ends[1] + GAP)]
    assert second.seq == ends[1] + GAP


def test_gaps_below_the_floor_are_forgotten(positions, lock):
    first = positions.begin(Position(), 10, "one")
    confirm(lock, 1, first.seq + 100)
    positions.give_up(1, first.seq + 50)
    found = positions.read()
    assert (found.floor, list(found.voids)) == (first.seq + 50, [])
    with pytest.raises(NotWriter):
        positions.give_up(7, first.seq + 60)


def test_without_a_row_nothing_is_committed(positions):
    assert positions.read() == Position()
