from __future__ import annotations

from deodar.siem.destinations.urls import REST_SECONDS, Urls


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_any_stays_with_the_one_that_works():
    urls = Urls(["a", "b", "c"], "any")
    assert urls.order() == ["a", "b", "c"]
    urls.failed("a")
    urls.worked("b")
    assert urls.order()[0] == "b"
    assert urls.order()[0] == "b"


def test_prefer_first_returns_to_the_first_after_its_rest():
    clock = Clock()
    urls = Urls(["a", "b"], "prefer_first", clock)
    urls.failed("a")
    urls.worked("b")
    assert urls.order() == ["b", "a"]
    clock.now += REST_SECONDS
    assert urls.order() == ["a", "b"]


def test_round_robin_takes_turns_and_puts_a_failed_one_last():
    urls = Urls(["a", "b", "c"], "round_robin")
    assert [urls.order()[0] for _ in range(6)] == ["a", "b", "c"] * 2
    urls.failed("b")
    orders = [urls.order() for _ in range(3)]
    assert all(order[-1] == "b" for order in orders)


def test_when_all_failed_all_are_tried():
    urls = Urls(["a", "b"], "any")
    urls.failed("a")
    urls.failed("b")
    assert sorted(urls.order()) == ["a", "b"]
