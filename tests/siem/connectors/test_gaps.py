from __future__ import annotations

from deodar.siem.connectors.gaps import HELD_SECONDS, Gaps

HOUR = 3600.0


def test_answers_that_come_in_time_leave_no_gap():
    gaps = Gaps(1000.0)
    assert gaps.answered(1000.0 + HELD_SECONDS, resumed=True) == ""
    assert gaps.answered(1000.0 + 2 * HELD_SECONDS, resumed=True) == ""


def test_away_for_longer_than_a_server_holds_events_is_a_gap():
    gaps = Gaps(1000.0)
    assert "3.0 hours" in gaps.answered(1000.0 + 3 * HOUR, resumed=True)
    assert gaps.answered(1001.0 + 3 * HOUR, resumed=True) == ""


def test_an_initial_request_has_no_gap_before_it():
    assert Gaps(1000.0).answered(1000.0 + 9 * HOUR, resumed=False) == ""
    assert Gaps().answered(9 * HOUR, resumed=True) == ""


def test_a_lost_token_is_told_once_until_there_is_an_answer_again():
    gaps = Gaps(1000.0)
    assert "of the last 10 minutes" in gaps.token_lost(1600.0)
    assert gaps.token_lost(1700.0) == ""
    gaps.answered(1800.0, resumed=False)
    assert "are missing" in gaps.token_lost(1900.0)
    assert Gaps().token_lost(5.0) == "events are missing: the server lost the token"
