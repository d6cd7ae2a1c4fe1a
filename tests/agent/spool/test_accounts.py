from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deodar.agent.loss import LossBook
from deodar.agent.packets import Header, encode_header
from deodar.agent.spool import DAMAGED
from deodar.agent.spool.accounts import Accounts, Gone
from deodar.agent.spool.thinning import fold
from deodar.kit.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Four packets in two segments: 3, 3, 1 (and two thinned out), 3 events."""
    with Journal(tmp_path / "journal", sync=False, fold=fold) as journal:
        for number, (events, total, thinned) in enumerate(
            [(3, 3, 0), (3, 6, 0), (1, 9, 2), (3, 12, 0)]
        ):
            header = Header(events=events, first=number, last=number, total=total, thinned=thinned)
            journal.append(encode_header(header), b"")
            if number == 1:
                journal.seal()
        yield journal


def test_what_waits_is_counted_when_it_is_opened(journal: Journal) -> None:
    assert Accounts(journal, LossBook()).waiting == 10
    journal.acknowledge(1)
    assert Accounts(journal, LossBook()).waiting == 7
    journal.acknowledge(3)
    assert Accounts(journal, LossBook()).waiting == 3
    journal.acknowledge(4)
    assert Accounts(journal, LossBook()).waiting == 0


def test_thinned_events_are_not_missing(journal: Journal) -> None:
    losses = LossBook()
    accounts = Accounts(journal, losses)
    gone = accounts.sum_to(3)
    assert gone == Gone(events=7, thinned=2, total=9, first=1)
    accounts.leave(gone)
    assert accounts.waiting == 3
    assert losses.totals() == {}


def test_damaged_packet_between_others_is_missed(journal: Journal) -> None:
    losses = LossBook()
    accounts = Accounts(journal, losses)
    accounts.leave(Gone(events=3, thinned=0, total=3, first=5))
    accounts.leave(Gone(events=1, thinned=2, total=9, first=7))
    (loss,) = losses.take()
    assert (loss.count, loss.reason, loss.first_ns) == (3, DAMAGED, 7000)


def test_thinning_leaves_the_totals(journal: Journal) -> None:
    losses = LossBook()
    accounts = Accounts(journal, losses)
    accounts.leave(Gone(events=2))
    assert accounts.waiting == 8
    accounts.leave(Gone(events=3, thinned=0, total=3))
    assert losses.totals() == {}


def test_first_packet_that_is_there_begins_the_count(journal: Journal) -> None:
    journal.acknowledge(2)
    losses = LossBook()
    accounts = Accounts(journal, losses)
    accounts.leave(accounts.sum_to(4))
    assert losses.totals() == {}
    assert accounts.waiting == 0
