from __future__ import annotations

import pytest

from deodar.edr.log.lineage import Epoch, Lineage, begin_epoch, lineage
from deodar.edr.log.schema import prepare

A, B, C = (bytes([n]) * 16 for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("epoch", "seq", "good"),
    [(C, 10**9, True), (B, 50, True), (B, 51, False), (A, 50, True), (A, 51, False)],
)
def test_a_number_of_an_older_epoch_is_good_up_to_where_a_younger_one_begins(epoch, seq, good):
    # A backup was taken at 100, and restored; then an older one, taken at 50, was restored.
    problem = Lineage([Epoch(A, 0), Epoch(B, 100), Epoch(C, 50)]).problem(epoch, seq)
    assert (problem is None) == good
    if not good:
        assert "older state was restored" in problem


def test_another_logs_epoch_is_told_apart():
    assert "another event log" in Lineage([Epoch(A, 0)]).problem(B, 0)


def test_an_epoch_goes_on_from_the_one_before(engine):
    first = prepare(engine)
    second = begin_epoch(engine, 7)
    assert second.current != first.current
    assert second.problem(first.current, 7) is None
    assert second.problem(first.current, 8) is not None
    assert lineage(engine).current == second.current


def test_the_first_epoch_is_made_once(engine):
    assert prepare(engine).current == lineage(engine).current
