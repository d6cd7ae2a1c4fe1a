from __future__ import annotations

import pytest

from deodar.kit.journal import JournalFull
from deodar.siem.pipeline.aggregation import ledger as ledgers
from deodar.siem.pipeline.aggregation.ledger import Entry, Ledger
from deodar.siem.pipeline.aggregation.rule import Shape
from deodar.siem.pipeline.aggregation.window import Window

SHAPE = Shape("id", "rule", ("Name",), (), ())


def window(name: str, count: int) -> Window:
    return Window(SHAPE.digest, (name,), 1, count, count, 1, 2, (), ())


def entry(number: int, *windows, closed=()) -> Entry:
    places = tuple((SHAPE.digest, (name,)) for name in closed)
    return Entry(number * 10, b"t", b"o" * 50, 0, windows, places, (SHAPE,))


def opened(home, journal="j", max_bytes=1 << 30, acknowledged=0) -> Ledger:
    return Ledger(home, journal, max_bytes, acknowledged)


def put(ledger, number, *windows, closed=()):
    one = entry(number, *windows, closed=closed)
    ledger.append(number, one)
    ledger.state.shapes |= {SHAPE.digest: SHAPE}
    ledger.state.apply(one.now, one.windows, one.closed)


def counts(ledger) -> dict[str, int]:
    return {one.key[0]: one.count for one in ledger.state.every()}


def test_what_was_done_to_a_record_is_found_again_also_after_a_restart(tmp_path):
    ledger = opened(tmp_path)
    put(ledger, 3, window("a", 1))
    put(ledger, 7, window("a", 2), window("b", 1))
    put(ledger, 8, closed="a")
    for _ in range(2):
        assert ledger.find(7).windows == (window("a", 2), window("b", 1))
        assert (ledger.find(5), ledger.find(9)) == (None, None)
        assert counts(ledger) == {"b": 1}
        ledger.close()
        ledger = opened(tmp_path)
    assert (ledger.frontier, ledger.state.now) == (8, 80)
    assert ledger.state.shapes == {SHAPE.digest: SHAPE}
    ledger.close()


def test_records_that_all_are_past_go_and_the_windows_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(ledgers, "_LEAST_BETWEEN", 4000)
    ledger = opened(tmp_path, max_bytes=40_000)
    for number in range(1, 401):
        put(ledger, number, window("a", number), window(f"w{number % 5}", number))
        ledger.tidy(number - 3)
        assert ledger.bytes_used < 40_000
    assert ledger.find(1) is None
    assert ledger.find(399).windows[0] == window("a", 399)
    expected = counts(ledger)
    ledger.close()
    ledger = opened(tmp_path, max_bytes=40_000)
    assert counts(ledger) == expected
    assert ledger.find(399).windows[0] == window("a", 399)
    ledger.close()


def test_when_it_is_full_nothing_is_written_and_it_can_be_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(ledgers, "_LEAST_BETWEEN", 10_000)
    ledger = opened(tmp_path, max_bytes=40_000)
    number = 0
    with pytest.raises(JournalFull):  # noqa: PT012  the loop is what fills it
        while True:
            put(ledger, number + 1, window("a", number + 1))
            number += 1
            ledger.tidy(0)
    assert counts(ledger) == {"a": number}
    assert ledger.find(number + 1) is None
    ledger.tidy(number)
    put(ledger, number + 1, window("a", number + 1))
    ledger.close()


def test_a_journal_that_was_made_anew_begins_at_its_first_record_with_the_old_windows(tmp_path):
    ledger = opened(tmp_path)
    put(ledger, 500, window("a", 1))
    ledger.close()
    ledger = opened(tmp_path, journal="other")
    assert (ledger.frontier, ledger.find(500), counts(ledger)) == (0, None, {"a": 1})
    put(ledger, 1, window("a", 2))
    assert ledger.find(1).windows == (window("a", 2),)
    ledger.close()


def test_records_that_passed_without_it_are_not_folded_later(tmp_path):
    opened(tmp_path).close()
    ledger = opened(tmp_path, acknowledged=90)
    assert ledger.frontier == 90
    ledger.close()
