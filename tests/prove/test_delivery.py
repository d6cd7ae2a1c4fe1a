"""The judgement of ``make prove-delivery``: what is wrong is found."""

from __future__ import annotations

from prove.delivery import _problems


def test_an_event_that_is_missing_or_came_under_two_batch_ids_is_found():
    good = [("a", "1"), ("b", "1"), ("b", "1")]
    assert list(_problems("x", good, 2, 1, {})) == []
    assert "1 different events, not 2" in next(_problems("x", good[:1], 2, 1, {}))
    told = list(_problems("x", [*good, ("a", "2")], 2, 1, {}))
    assert "1 events came under another batch id" in told[0]
    assert "2 batch ids" in told[1]
