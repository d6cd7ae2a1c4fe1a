from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.agent.spool.world import numbers, packet

from deodar.agent.packets import Header, encode_header
from deodar.agent.spool.batches import Outgoing
from deodar.kit.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator

ALL = {"max_events": 10_000, "max_bytes": 1 << 30}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Ten packets of three events."""
    with Journal(tmp_path / "journal", sync=False) as journal:
        for number in range(0, 30, 3):
            one = packet(range(number, number + 3))
            journal.append(encode_header(one.header), one.body)
        yield journal


@pytest.fixture
def outgoing(journal: Journal, tmp_path: Path) -> Outgoing:
    return Outgoing(journal, tmp_path / "taken")


def test_batch_is_many_packets_as_one(outgoing: Outgoing) -> None:
    batch = outgoing.batch(0, **ALL)
    assert batch is not None
    assert (batch.first, batch.last, batch.events) == (1, 10, 30)
    assert (batch.first_time, batch.last_time) == (0, 29)
    assert numbers(batch.body) == list(range(30))


@pytest.mark.parametrize(("most", "packets"), [(1, 1), (3, 1), (5, 1), (6, 2), (29, 9), (30, 10)])
def test_batch_keeps_to_the_number_of_events(outgoing: Outgoing, most: int, packets: int) -> None:
    batch = outgoing.batch(0, most, 1 << 30)
    assert batch is not None
    assert batch.last == packets


def test_batch_keeps_to_the_number_of_bytes(outgoing: Outgoing, journal: Journal) -> None:
    size = len(next(journal.read()).body)
    batch = outgoing.batch(0, 1000, size * 4)
    assert batch is not None
    assert len(batch.body) <= size * 4
    assert batch.last > 1
    outgoing.forget()
    batch = outgoing.batch(0, 1000, 1)
    assert batch is not None
    assert batch.last == 1


def test_extent_of_a_batch_is_fixed_until_it_is_settled(
    outgoing: Outgoing, journal: Journal
) -> None:
    first = outgoing.batch(0, 9, 1 << 30)
    assert first is not None
    second = outgoing.batch(first.last, 9, 1 << 30)
    assert second is not None
    assert outgoing.batch(0, **ALL) == first
    assert outgoing.batch(first.last, 1, 1) == second
    assert outgoing.is_whole(0, first)
    assert not outgoing.is_whole(0, second)
    outgoing.settled(first.last)
    assert not outgoing.has(0)
    assert outgoing.has(first.last)


def test_forgotten_batch_may_have_another_extent_and_is_still_on_its_way(
    outgoing: Outgoing,
) -> None:
    outgoing.batch(0, **ALL)
    outgoing.forget()
    smaller = outgoing.batch(0, 6, 1 << 30)
    assert smaller is not None
    assert smaller.last == 2
    assert outgoing.flight == 10


def test_the_same_batch_comes_after_a_restart(
    outgoing: Outgoing, journal: Journal, tmp_path: Path
) -> None:
    before = outgoing.batch(0, 9, 1 << 30)
    outgoing.close()
    again = Outgoing(journal, tmp_path / "taken")
    assert again.flight == 3
    assert again.has(0)
    assert again.batch(0, **ALL) == before
    assert again.batch(3, **ALL).last == 10


def test_mark_beyond_the_journal_protects_nothing_to_come(
    outgoing: Outgoing, tmp_path: Path
) -> None:
    outgoing.batch(0, **ALL)
    outgoing.close()
    with Journal(tmp_path / "another") as empty:
        assert Outgoing(empty, tmp_path / "taken").flight == 0


def test_mark_that_cannot_be_written_is_borne(journal: Journal, tmp_path: Path) -> None:
    outgoing = Outgoing(journal, tmp_path / "absent" / "taken")
    batch = outgoing.batch(0, 9, 1 << 30)
    assert batch is not None
    assert outgoing.flight == batch.last
    outgoing.close()


def test_packets_without_events_are_passed_over(journal: Journal, tmp_path: Path) -> None:
    empty = Header(events=0, first=1, last=2, total=40, thinned=10)
    journal.append(encode_header(empty), b"")
    outgoing = Outgoing(journal, tmp_path / "taken")
    batch = outgoing.batch(9, **ALL)
    assert batch is not None
    assert (batch.first, batch.last, batch.events) == (10, 11, 3)
    assert (batch.total, batch.thinned) == (40, 10)
    outgoing.forget()
    alone = outgoing.batch(10, **ALL)
    assert alone is not None
    assert (alone.events, alone.last, alone.body) == (0, 11, b"")
    assert outgoing.batch(11, **ALL) is None
