from __future__ import annotations

import random

import pytest

from deodar.agent.answers import Fault, Trouble
from deodar.agent.servers import Activity, News, Servers, State

PACKETS, SYNC = Activity.PACKETS, Activity.SYNCHRONIZATION
GONE = Fault(Trouble.UNREACHABLE, "refused")
BUSY = Fault(Trouble.WRONG_ANSWER, "HTTP 503")
UNKNOWN = Fault(Trouble.REFUSED, "not enrolled")
OTHER = Fault(Trouble.CERTIFICATE, "another certificate")


def servers(*names: str) -> Servers:
    made = Servers(random.Random(1))
    made.configure(names or ("a:1",), 0.0)
    return made


def test_first_one_is_in_use() -> None:
    made = servers("a:1", "b:1")
    assert (made.name, made.index, made.pause(0)) == ("a:1", 0, 0)
    assert made.state is State.STARTING


def test_next_one_is_tried_at_once_and_all_rest_after_a_round() -> None:
    made = servers("a:1", "b:1", "c:1")
    tried = []
    for now in (0.0, 0.01, 0.02):
        assert made.pause(now) == 0
        tried.append(made.name)
        made.failed(PACKETS, GONE, now)
    assert tried == ["a:1", "b:1", "c:1"]
    assert made.pause(0.03) > 0
    assert made.state is State.RETRYING


def test_slow_failures_do_not_keep_the_last_one_from_its_turn() -> None:
    made = servers("a:1", "b:1", "c:1")
    made.failed(PACKETS, GONE, 10.0)
    made.failed(PACKETS, GONE, 20.0)
    assert made.name == "c:1"


def test_state_waits_for_the_whole_round() -> None:
    made = servers("a:1", "b:1")
    made.succeeded(PACKETS)
    assert made.failed(PACKETS, GONE, 0)
    assert made.state is State.CONNECTED
    assert not made.failed(PACKETS, BUSY, 0)
    assert made.state is State.RETRYING
    assert made.problem == "a:1: refused; b:1: HTTP 503"


def test_rests_grow_to_a_limit_and_differ_between_agents() -> None:
    made, now, rests = servers(), 0.0, []
    for _ in range(30):
        made.failed(PACKETS, GONE, now)
        rests.append(made.pause(now))
        now += rests[-1]
    assert rests[0] <= 0.5
    assert max(rests) <= 60
    assert min(rests[10:]) >= 30
    assert len(set(rests)) == 30


def test_success_starts_the_rests_anew() -> None:
    made = servers()
    for _ in range(10):
        made.failed(PACKETS, GONE, 0)
    made.succeeded(PACKETS)
    made.failed(PACKETS, GONE, 0)
    assert made.pause(0) <= 0.5


@pytest.mark.parametrize(("asked", "least", "most"), [(7, 7, 8.5), (0, 0.1, 0.2), (9e9, 300, 360)])
def test_server_says_how_long_to_wait(asked: float, least: float, most: float) -> None:
    made = servers()
    made.failed(PACKETS, BUSY, 0, asked)
    assert least <= made.pause(0) <= most


def test_server_that_asked_for_time_gets_it_while_others_are_tried() -> None:
    made = servers("a:1", "b:1")
    made.failed(PACKETS, BUSY, 0, 100)
    made.failed(PACKETS, GONE, 0)
    assert made.pause(50) == 0
    assert made.name == "b:1"
    made.succeeded(PACKETS)
    made.begin_again(50)
    assert made.name == "b:1"
    made.begin_again(121)
    assert made.name == "a:1"


@pytest.mark.parametrize(("asked", "least"), [(None, 60), (10, 60), (200, 200)])
def test_refused_agent_keeps_asking_slowly(asked: float | None, least: float) -> None:
    made = servers()
    made.failed(PACKETS, UNKNOWN, 0, asked)
    assert least <= made.pause(0) <= 1.2 * least
    assert made.state is State.REFUSED
    assert made.problem == "not enrolled"


def test_each_change_is_told_once_and_each_attempt_is_not() -> None:
    made = servers()
    for now in range(5):
        made.failed(PACKETS, GONE, now * 100)
        made.failed(PACKETS, BUSY, now * 100 + 50)
    made.succeeded(PACKETS)
    made.succeeded(SYNC)
    made.failed(PACKETS, OTHER, 1000)
    made.failed(PACKETS, OTHER, 2000)
    made.failed(PACKETS, UNKNOWN, 3000)
    made.succeeded(PACKETS)
    assert [news.event_type for news in made.take_news()] == [
        "ServerUnavailable",
        "ServerConnected",
        "CertificateProblem",
        "ServerRefused",
        "ServerConnected",
    ]
    assert made.take_news() == []


@pytest.mark.parametrize("said", [OTHER, UNKNOWN])
def test_lost_words_of_a_server_do_not_end_what_it_said(said: Fault) -> None:
    made = servers()
    for now in range(30):
        made.failed(PACKETS, said if now % 3 else GONE, now * 100)
    told = [news.event_type for news in made.take_news()]
    assert told == ["ServerUnavailable", said.trouble.event]
    for now in range(30, 45):
        made.failed(PACKETS, GONE, now * 100)
    assert [news.event_type for news in made.take_news()] == ["ServerUnavailable"]


def test_news_names_server_and_problem() -> None:
    made = servers("a:1", "b:1")
    made.failed(PACKETS, GONE, 0)
    made.succeeded(PACKETS)
    assert made.take_news() == [
        News("ServerUnavailable", {"server": "a:1", "problem": "refused"}),
        News("ServerConnected", {"server": "b:1"}),
    ]
    assert made.faults() == {"a:1": "refused"}


def test_change_of_the_server_in_use_is_told() -> None:
    made = servers("a:1", "b:1")
    made.succeeded(PACKETS)
    made.failed(PACKETS, GONE, 0)
    made.succeeded(PACKETS)
    made.begin_again(60)
    made.succeeded(SYNC)
    told = [(news.event_type, news.details["server"]) for news in made.take_news()]
    assert told == [
        ("ServerConnected", "a:1"),
        ("ServerUnavailable", "a:1"),
        ("ServerConnected", "b:1"),
        ("ServerConnected", "a:1"),
    ]


def test_server_that_takes_packets_but_cannot_synchronize_is_told_once() -> None:
    made = servers()
    for now in range(10):
        made.failed(SYNC, BUSY, now * 100)
        made.succeeded(PACKETS)
    assert [news.event_type for news in made.take_news()] == ["ServerUnavailable"]
    assert made.state is State.RETRYING
    assert made.problem == "HTTP 503"
    made.succeeded(SYNC)
    assert made.state is State.CONNECTED
    assert made.problem == ""


def test_packets_that_arrive_show_that_the_server_can_be_reached() -> None:
    made = servers()
    made.failed(SYNC, GONE, 0)
    made.succeeded(PACKETS)
    assert made.state is State.CONNECTED


def test_other_settings_let_all_be_tried_at_once_and_keep_what_was_told() -> None:
    made = servers("a:1", "b:1")
    made.failed(PACKETS, GONE, 0)
    made.failed(PACKETS, GONE, 0)
    made.take_news()
    made.configure(("b:1", "c:1"), 0.1)
    assert (made.name, made.pause(0.1)) == ("b:1", 0)
    made.failed(PACKETS, GONE, 0.1)
    assert made.take_news() == []
    made.failed(PACKETS, GONE, 0.1)
    assert [news.details["server"] for news in made.take_news()] == ["c:1"]


def test_same_server_twice_does_no_harm() -> None:
    made = servers("a:1", "a:1")
    made.failed(PACKETS, GONE, 0)
    assert made.name == "a:1"
    made.succeeded(PACKETS)
    assert made.state is State.CONNECTED


def test_without_a_certificate_nothing_is_tried_and_it_is_told_once() -> None:
    made = servers()
    made.hold("server.crt is missing")
    made.hold("server.crt is missing")
    assert made.state is State.RETRYING
    assert made.problem == "server.crt is missing"
    assert made.take_news() == [News("CertificateProblem", {"problem": "server.crt is missing"})]


def test_rest_without_a_fault_leaves_the_state() -> None:
    made = servers()
    made.succeeded(PACKETS)
    made.rest(5, 100)
    assert made.pause(101) == 4
    made.wake(101)
    assert made.pause(101) == 0
    assert made.state is State.CONNECTED
