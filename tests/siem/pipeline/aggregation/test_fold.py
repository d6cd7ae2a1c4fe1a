from __future__ import annotations

from tests.siem.pipeline.aggregation.test_rule import rule

from deodar.siem.pipeline.aggregation.fold import Fold, State
from deodar.siem.pipeline.frame import frame_of

SECOND = 1_000_000


def fold(*rules) -> Fold:
    return Fold(rules, State())


def done(fold, names, at, **more):
    """Fold events with these names at a second; return the counts of those that came out."""
    step = fold.step(frame_of([{"Name": name, **more} for name in names]), at * SECOND)
    fold.commit(step)
    return [(one.get("Name"), one["BaseEventCount"]) for one in step.out], step


def test_a_window_closes_at_the_threshold_and_the_next_event_opens_another():
    made = fold(rule(threshold=3))
    assert done(made, "aab", 1)[0] == []
    assert done(made, "aab", 2)[0] == [("a", 3)]
    assert sorted((one.key, one.count) for one in made.state.every()) == [(("a",), 1), (("b",), 2)]


def test_a_window_closes_a_lifetime_after_its_first_event():
    made = fold(rule(lifetime=60))
    done(made, "a", 100)
    done(made, "ab", 130)
    assert made.due() == 160 * SECOND
    assert done(made, "", 159)[0] == []
    assert done(made, "a", 160)[0] == [("a", 2)]
    assert made.due() == 190 * SECOND
    assert done(made, "", 1000)[0] == [("b", 1), ("a", 1)]
    assert made.due() is None


def test_a_step_changes_nothing_until_it_is_committed():
    made = fold(rule(threshold=2))
    frame = frame_of([{"Name": "a"}] * 3)
    first, second = made.step(frame, SECOND), made.step(frame, SECOND)
    assert first.out == second.out
    assert list(made.state.every()) == []
    made.commit(first)
    assert [one.count for one in made.state.every()] == [1]


def test_an_event_goes_to_the_first_rule_whose_filter_it_meets():
    made = fold(
        rule(filter="Name = 'a'"),
        rule(name="rest", filter="Name != 'c'", identical=["DestinationPort"]),
    )
    _, step = done(made, "abca", 1, DestinationPort=7)
    assert step.taken.tolist() == [True, True, False, True]
    assert [(one.key, one.count) for one in made.state.every()] == [(("a",), 2), ((7,), 1)]


def test_time_that_goes_back_a_little_stands_still_and_a_clock_that_is_set_back_closes_all():
    made = fold(rule(lifetime=60))
    done(made, "a", 100)
    assert done(made, "b", 95)[0] == []
    assert made.state.now == 100 * SECOND
    assert done(made, "c", 20)[0] == [("a", 1), ("b", 1)]
    assert (made.state.now, made.due()) == (20 * SECOND, 80 * SECOND)


def test_too_many_windows_or_bytes_close_the_oldest_early():
    made = fold(rule(max_windows=2))
    done(made, "ab", 1)
    out, step = done(made, "bcd", 2)
    assert (out, step.early) == ([("a", 1), ("b", 2)], 2)
    made = fold(rule(max_bytes=4096))
    done(made, ["a" * 2000], 1)
    out, step = done(made, ["b" * 2000], 2)
    assert (out, step.early) == ([("a" * 2000, 1)], 1)


def test_too_many_different_values_close_a_window_early():
    made = fold(rule(threshold=10_000, unique=["Message"]))
    events = [{"Name": "a", "Message": str(n)} for n in range(1500)]
    step = made.step(frame_of(events), SECOND)
    assert [one["BaseEventCount"] for one in step.out] == [1500]
    assert step.early == 1


def test_windows_of_a_rule_that_is_gone_come_out_with_the_next_step():
    before = fold(rule())
    done(before, "aa", 1)
    after = Fold([], before.state)
    assert after.has_work
    assert after.due() is not None
    out, _ = done(after, "a", 2)
    assert out == [("a", 2)]
    assert not after.has_work


def test_windows_of_a_rule_whose_shape_changed_come_out_and_others_stay():
    before = fold(rule(), rule(name="kept", identical=["Message"], filter="Name = 'never'"))
    done(before, "a", 1)
    after = Fold([rule(sum=["FileSize"])], before.state)
    assert done(after, "a", 2)[0] == [("a", 1)]
    assert [one.count for one in after.state.every()] == [1]
