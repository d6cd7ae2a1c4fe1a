from __future__ import annotations

from deodar.siem.collector.ledger import Ledger


def test_a_batch_has_one_account_with_its_destinations():
    ledger = Ledger()
    ledger.of("b-1").received = 5
    ledger.at("b-1", "storage").delivered = 4
    ledger.at("b-1", "hook").refused = 1
    (account,) = ledger.last(10)
    assert (account.batch_id, account.received) == ("b-1", 5)
    assert account.destinations["storage"].delivered == 4
    assert account.destinations["hook"].refused == 1


def test_the_newest_come_first_and_the_oldest_go():
    ledger = Ledger(most=3)
    for number in range(5):
        ledger.of(f"b-{number}")
    assert [one.batch_id for one in ledger.last(2)] == ["b-4", "b-3"]
    assert [one.batch_id for one in ledger.last(9)] == ["b-4", "b-3", "b-2"]
    assert ledger.last(0) == []
