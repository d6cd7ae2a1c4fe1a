from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.edr import admission
from deodar.edr.admission import BURST_SECONDS, MOST_SYSTEMS, Admission
from deodar.edr.errors import TooManyRequests
from deodar.edr.live_settings import SettingsStore

ONE, TWO = ("one", "d1"), ("two", "d2")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def admitting(clock: Clock) -> Admission:
    return Admission(clock)


def ask(admitting: Admission, key: tuple[str, str], rate: float = 2) -> int | None:
    """Ask once; returns after how many seconds to repeat, None when the request was let in."""
    try:
        with admitting.admitted(key, rate, 10):
            return None
    except TooManyRequests as error:
        return error.retry_after


def test_more_than_the_rate_is_refused_until_the_time_that_is_told(admitting, clock):
    assert [ask(admitting, ONE) for _ in range(4)] == [None] * 4  # a burst of two seconds
    wait = ask(admitting, ONE)
    assert wait == 1
    with pytest.raises(TooManyRequests, match="at most 2 a second"):
        admitting.check(ONE, 2)
    clock.now += wait
    admitting.check(ONE, 2)
    assert ask(admitting, ONE) is None
    assert admitting.refused == 2


def test_each_system_has_its_own_share(admitting):
    while ask(admitting, ONE) is None:
        pass
    assert ask(admitting, TWO) is None


def test_a_rate_below_one_a_second_lets_one_in_at_a_time(admitting, clock):
    assert ask(admitting, ONE, 0.1) is None
    assert ask(admitting, ONE, 0.1) == 10
    clock.now += 10
    assert ask(admitting, ONE, 0.1) is None


def test_a_rate_of_zero_is_no_limit(admitting):
    assert {ask(admitting, ONE, 0) for _ in range(1000)} == {None}


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 5)), max_size=60))
def test_no_more_than_rate_and_burst_are_let_in_over_any_time(steps):
    clock = Clock()
    admitting, let_in, began = Admission(clock), 0, clock.now
    for pause, count in steps:
        clock.now += pause
        let_in += sum(ask(admitting, ONE, 3) is None for _ in range(count))
    assert let_in <= 3 * BURST_SECONDS + 3 * (clock.now - began) + 1e-6


def test_open_requests_are_bounded_for_each_system(admitting):
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(admitting.admitted(ONE, 0, 3))
        with pytest.raises(TooManyRequests, match="3 of this external system"):
            stack.enter_context(admitting.admitted(ONE, 0, 3))
        stack.enter_context(admitting.admitted(TWO, 0, 3))
    with admitting.admitted(ONE, 0, 3):
        pass


def test_what_is_remembered_is_bounded_and_open_requests_stay(admitting):
    with admitting.admitted(ONE, 1, 1):
        for number in range(MOST_SYSTEMS + 50):
            ask(admitting, (str(number), "d"))
        assert len(admitting) == MOST_SYSTEMS
        with pytest.raises(TooManyRequests), admitting.admitted(ONE, 1, 1):
            pass


def test_a_stranger_is_not_remembered(admitting):
    admitting.check(("stranger", "d"), 1)
    assert len(admitting) == 0


async def test_few_reads_of_one_system_wait_at_a_time(admitting):
    running, most = 0, 0

    async def read() -> None:
        nonlocal running, most
        with admitting.admitted(ONE, 0, 10):
            async with admitting.reading(ONE):
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.01)
                running -= 1

    await asyncio.gather(*(read() for _ in range(8)))
    assert most == admission.READS_AT_ONCE


async def test_a_system_that_asks_too_often_gets_429_and_others_are_served(server):
    loud, quiet = await server.system("loud", 0).accepted(), server.system("quiet", 1)
    await quiet.accepted()
    store = SettingsStore(server.database, server.installation.settings)
    await asyncio.to_thread(store.set, "events_api.rate", 1)
    async with asyncio.timeout(20):
        refused = await loud.get()
        while refused.status_code == 200:
            refused = await loud.get()
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"].startswith("Number of requests exceeded")
    assert (await quiet.get()).status_code == 200
    await asyncio.sleep(int(refused.headers["retry-after"]))  # what a client is told to do
    assert (await loud.get()).status_code == 200


async def test_clients_with_one_identity_share_its_places(server):
    store = SettingsStore(server.database, server.installation.settings)
    await asyncio.to_thread(store.set, "events_api.requests_at_once", 2)
    system = await server.system().accepted()
    async with asyncio.timeout(20):
        while True:
            twins = [server.system() for _ in range(3)]
            answers = await asyncio.gather(*(one.get(max_timeout="PT0.3S") for one in twins))
            codes = sorted(answer.status_code for answer in answers)
            if codes != [200, 200, 200]:
                break
    assert codes == [200, 200, 429]
    assert (await system.get()).status_code == 200
