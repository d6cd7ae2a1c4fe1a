from __future__ import annotations

import json
import random
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from tests.agent.scripted import AGENT_ID, issue_dated
from tests.agent.way import HOUR, Simulated, Way

from deodar import __version__
from deodar.agent import servers
from deodar.agent.proxy import parse
from deodar.agent.settings import TransferSettings
from deodar.agent.uplink import State
from deodar.tls.certificates import issue_server, make_authority

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make all rests short."""
    monkeypatch.setattr(servers, "BACKOFF_FIRST", 0.01)
    monkeypatch.setattr(servers, "BACKOFF_LIMIT", 0.05)
    monkeypatch.setattr(servers, "REFUSED_WAIT", 0.05)


def test_packets_arrive_in_order_over_tls(
    make_way: Callable[..., Way], server: Any, until: Callable[..., Any]
) -> None:
    way = make_way()
    way.put(20)
    way.driver.start()
    until(way.is_empty)
    assert server.ids() == way.sent
    assert server.caller == f"deodar-agent/{__version__}"
    assert server.connections == 1
    assert way.driver.counters.events == 40
    assert way.driver.machine.state is State.CONNECTED
    assert way.losses.totals() == {}
    assert way.kinds() == ["ServerConnected"]
    assert way.news[0][1] == {"server": way.settings.names[0]}


def test_packets_that_wait_go_in_one_request(
    make_way: Callable[..., Way], server: Any, until: Callable[..., Any]
) -> None:
    way = make_way()
    way.put(50)
    way.driver.start()
    until(way.is_empty)
    assert server.requests == 1
    assert server.log.committed[AGENT_ID, way.spool.identity] == 50


def test_full_request_goes_before_its_time(
    make_way: Callable[..., Way], server: Any, until: Callable[..., Any]
) -> None:
    way = make_way(maximum_delay=60, transfer=TransferSettings(enough_events=10))
    way.driver.start()
    until(lambda: server.syncs)
    way.put(4)
    time.sleep(0.2)
    assert server.requests == 0
    way.put(1)
    until(way.is_empty, 2)
    assert server.ids() == way.sent


def test_nothing_waits_when_the_agent_is_in_a_hurry(
    make_way: Callable[..., Way], server: Any, until: Callable[..., Any]
) -> None:
    way = make_way(maximum_delay=60)
    way.driver.start()
    until(lambda: server.syncs)
    way.put(1)
    way.driver.hurry()
    until(way.is_empty, 5)


def test_idle_thread_does_not_wake_up(
    make_way: Callable[..., Way], server: Any, until: Callable[..., Any]
) -> None:
    way = make_way()
    way.driver.start()
    until(lambda: way.driver.last_sync)
    ticks = iter(range(1_000_000))
    asked = 0
    real = way.driver._clock

    def clock() -> float:
        nonlocal asked
        asked = next(ticks)
        return real()

    way.driver._clock = clock
    time.sleep(1.0)
    assert asked == 0
    way.put(1)
    until(way.is_empty, 2)
    assert asked > 0


@pytest.mark.parametrize(
    "trouble",
    [
        "503",
        "503 with Retry-After",
        "500",
        "redirection",
        "reset in the body",
        "reads nothing",
        "refused before the body",
        "answer lost",
        "answer too late",
        "answer too slow",
        "half an answer",
        "nonsense",
        "no HTTP",
        "answer without an end",
        "confirms another packet",
        "conflict that does not fit",
        "unknown agent",
    ],
)
@pytest.mark.usefixtures("quick")
def test_every_event_arrives_once_whatever_the_server_does(
    trouble: str, make_way: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    taken = {
        "answer lost": steps.Lose(),
        "answer too late": steps.Hang(0.6),
        "answer too slow": steps.Trickle(0.05),
        "half an answer": steps.Half(),
    }
    scripted = {
        **taken,
        "503": steps.Say(503),
        "503 with Retry-After": steps.Say(503, headers=(("Retry-After", "0"),)),
        "500": steps.Say(500, b"<html>"),
        "redirection": steps.Say(302, headers=(("Location", "https://portal/"),)),
        "reset in the body": steps.Reset(),
        "reads nothing": steps.Deaf(0.6),
        "refused before the body": steps.Refuse(503),
        "nonsense": steps.Say(200, b"<html>please log in</html>"),
        "no HTTP": steps.Raw(b"<html>please log in</html>"),
        "answer without an end": steps.Endless(),
        "confirms another packet": steps.Say(200, b'{"packet": 99, "events": 2}'),
        "conflict that does not fit": steps.Say(409, b'{"committed": 1}'),
        "unknown agent": steps.Say(401, b'{"error": "unknown"}'),
    }
    server.script.extend([scripted[trouble], None, scripted[trouble], scripted[trouble]])
    way = make_way(
        request_timeout=0.3, transfer=TransferSettings(maximum_events=2, enough_events=1)
    )
    way.put(5)
    way.driver.start()
    until(way.is_empty)
    assert server.ids() == way.sent
    assert server.packets == 5
    assert server.duplicates == (3 if trouble in taken else 0)
    assert way.driver.counters.duplicates == (2 if trouble in taken else 0)  # heard of
    assert way.driver.counters.failures == 3
    assert way.losses.totals() == {}
    assert way.driver.machine.state is State.CONNECTED


@pytest.mark.usefixtures("quick")
def test_part_that_the_server_has_is_not_sent_twice(
    make_way: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    way = make_way()
    way.put(10)
    source = AGENT_ID, way.spool.identity
    server.log.committed[source] = 4
    way.driver.start()
    until(way.is_empty)
    assert server.ids() == way.sent[8:]
    assert server.log.partial == 1
    assert server.requests == 2


@pytest.mark.usefixtures("quick")
def test_request_that_takes_too_long_is_followed_by_smaller_ones(
    make_way: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    way = make_way(request_timeout=0.3)
    for number in range(12):
        way.put(1, events=1, text=random.Random(number).randbytes(20_000).hex())
    server.script.extend([steps.Hang(2)] * 2)
    way.driver.start()
    until(way.is_empty)
    assert server.ids() == way.sent
    assert server.duplicates + server.log.partial >= 1
    assert server.requests > 4
    assert way.losses.totals() == {}


@pytest.mark.parametrize(("status", "times"), [(413, 1), (400, 3), (415, 3)])
@pytest.mark.usefixtures("quick")
def test_poison_goes_aside_and_what_follows_arrives(
    status: int,
    times: int,
    make_way: Callable[..., Way],
    server: Any,
    steps: Any,
    until: Callable[..., Any],
) -> None:
    server.script.extend([None, *[steps.Say(status, b'{"error": "no"}')] * times])
    way = make_way(transfer=TransferSettings(maximum_events=2, enough_events=1))
    way.put(3)
    way.driver.start()
    until(way.is_empty)
    assert server.ids() == way.sent[:2] + way.sent[4:]
    assert way.driver.counters.set_aside == 1
    assert way.losses.totals() == {"uplink": 2}
    assert way.driver.machine.state is State.CONNECTED
    (loss,) = way.losses.take()
    assert str(status) in loss.reason
    (dead,) = (way.folder / "dead").iterdir()
    lines = zstandard.ZstdDecompressor().stream_reader(dead.read_bytes()).readall().splitlines()
    assert [json.loads(line)["Id"] for line in lines] == way.sent[2:4]


@pytest.mark.usefixtures("quick")
def test_too_large_request_goes_in_parts_and_loses_nothing(
    make_way: Callable[..., Way], server: Any, until: Callable[..., Any]
) -> None:
    server.largest_events = 2
    way = make_way()
    way.put(6)
    way.driver.start()
    until(way.is_empty)
    assert server.ids() == way.sent
    assert way.losses.totals() == {}
    assert server.requests == 1 + 6
    server.largest_events = None
    way.put(6)
    until(way.is_empty)
    assert server.requests == 8  # in one request again


@pytest.mark.usefixtures("quick")
def test_only_the_poison_of_a_request_goes_aside(
    make_way: Callable[..., Way], server: Any, until: Callable[..., Any]
) -> None:
    server.largest_events = 2
    way = make_way()
    way.put(2)
    way.put(1, events=3)
    way.put(2)
    way.driver.start()
    until(way.is_empty)
    assert server.ids() == way.sent[:4] + way.sent[7:]
    assert way.losses.totals() == {"uplink": 3}


@pytest.mark.usefixtures("quick")
def test_events_that_the_server_could_not_use_are_counted(
    make_way: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    server.script.append(steps.Say(200, b'{"packet": 1, "events": 0, "dead": 2}'))
    way = make_way()
    way.put(1)
    way.driver.start()
    until(way.is_empty)
    assert way.driver.counters.dead_events == 2


def test_policy_of_the_server_is_taken_once(
    make_way: Callable[..., Way], server: Any, until: Callable[..., Any]
) -> None:
    server.policy = {"version": 3, "name": "default", "settings": {}}
    way = make_way()
    way.driver.start()
    until(lambda: way.policies)
    way.driver.sync_now()
    until(lambda: len(server.syncs) == 2)
    server.policy = None
    way.driver.sync_now()
    until(lambda: len(way.policies) == 2)
    assert way.policies == [{"version": 3, "name": "default", "settings": {}}, None]
    assert [report["policy_version"] for report in server.syncs] == [0, 3, 3]
    assert server.syncs[0]["agent_id"] == AGENT_ID


def test_policy_that_is_refused_does_not_stop_the_uplink(
    make_way: Callable[..., Way], server: Any, until: Callable[..., Any]
) -> None:
    server.policy = {"version": 3, "bad": True}
    way = make_way()
    way.driver.start()
    until(lambda: way.policies)
    way.put(1)
    until(way.is_empty)
    assert way.driver.failure == ""


def test_clocks_are_compared(
    make_way: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    ahead = (time.time_ns() + 3600 * 10**9) // 1000
    body = json.dumps({"server_id": "s", "time_us": ahead, "policy_version": 0}).encode()
    server.sync_script.append(steps.Say(200, body))
    way = make_way()
    way.driver.start()
    until(lambda: way.driver.last_sync)
    assert way.driver.clock_offset == pytest.approx(3600, abs=20)
    assert way.driver.counters.last_contact == pytest.approx(time.time(), abs=20)


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[" * 100_000, b'{"policy_version": 7}'])
@pytest.mark.usefixtures("quick")
def test_nonsense_for_a_synchronization_does_not_hold_up_packets(
    body: bytes, make_way: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    server.sync_script.extend([steps.Say(200, body)] * 5)
    way = make_way()
    way.put(1)
    way.driver.start()
    until(way.is_empty)
    until(lambda: len(way.news) >= 2)
    assert way.driver.machine.state is State.CONNECTED
    assert way.policies == []
    assert way.kinds() == ["ServerUnavailable", "ServerConnected"]


def test_missing_certificate_is_told_and_added_while_running(
    make_way: Callable[..., Way], server: Any, until: Callable[..., Any]
) -> None:
    way = make_way(context=None, context_problem="server.crt is missing; add it")
    way.put(1)
    way.driver.start()
    until(lambda: way.news)
    assert way.driver.machine.problem == "server.crt is missing; add it"
    assert way.kinds() == ["CertificateProblem"]
    assert server.connections == 0
    way.change(context=server.context(way.folder))
    until(way.is_empty)
    assert way.kinds() == ["CertificateProblem", "ServerConnected"]


@pytest.mark.parametrize("how", ["settings", "sync_now"])
def test_long_rest_ends_when_somebody_asks(
    how: str,
    make_way: Callable[..., Way],
    server: Any,
    monkeypatch: pytest.MonkeyPatch,
    until: Callable[..., Any],
) -> None:
    monkeypatch.setattr(servers, "BACKOFF_FIRST", 600)
    monkeypatch.setattr(servers, "BACKOFF_LIMIT", 600)
    server.cut_port()
    way = make_way()
    way.put(1)
    way.driver.start()
    until(lambda: way.driver.counters.failures)
    server.open_port()
    if how == "settings":
        way.change()
    else:
        way.driver.sync_now()
    until(way.is_empty, 5)


def test_stop_ends_a_long_rest(
    make_way: Callable[..., Way], monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    monkeypatch.setattr(servers, "BACKOFF_FIRST", 600)
    monkeypatch.setattr(servers, "BACKOFF_LIMIT", 600)
    way = make_way(servers=(("127.0.0.1", 1),))
    way.put(1)
    way.driver.start()
    until(lambda: way.driver.counters.failures)
    started = time.monotonic()
    way.driver.stop(5)
    assert time.monotonic() - started < 2
    assert not way.is_empty()


def test_stop_breaks_off_a_request(
    make_way: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    server.script.append(steps.Hang(30))
    way = make_way(request_timeout=30)
    way.put(1)
    way.driver.start()
    until(lambda: server.requests)
    started = time.monotonic()
    way.driver.stop(0.2)
    assert time.monotonic() - started < 2
    assert not way.driver._thread.is_alive()
    assert way.driver.counters.failures == 0
    assert not way.is_empty()


def test_agent_that_starts_again_sends_the_same_request(
    make_way: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any], tmp_path: Path
) -> None:
    server.script.append(steps.Lose())
    first = make_way()
    first.put(3)
    first.driver.start()
    until(lambda: server.packets)
    first.driver.stop(5)
    if first.is_empty():  # it was quick enough to send it again
        assert server.duplicates == 1
        return
    first.spool.close()
    again = Way(tmp_path / "agent-0", server)
    again.driver.start()
    until(again.is_empty)
    again.driver.stop(5)
    again.spool.close()
    assert server.ids() == first.sent
    assert server.duplicates == 1


# An hour without a server


def trouble_of_an_hour(name: str, server: Any, steps: Any) -> tuple[Callable[[], None], str]:
    """Begin a trouble; returns how to end it, and what is told of it."""
    answers = {
        "busy": steps.Say(503, b'{"error": "busy"}', (("Retry-After", "30"),)),
        "resets": steps.Reset(),
        "portal": steps.Say(200, b"<html>please log in</html>"),
        "no HTTP": steps.Raw(b"\x00\x01<html>"),
        "byte by byte": steps.Trickle(0.05),
        "half answers": steps.Half(),
        "unknown agent": steps.Say(403, b'{"error": "revoked"}'),
    }
    if name in answers:
        server.script.extend([answers[name]] * 1000)
        server.sync_script.extend([answers[name]] * 1000)

        def behave() -> None:
            server.script.clear()
            server.sync_script.clear()

        return behave, "ServerRefused" if name == "unknown agent" else "ServerUnavailable"
    if name == "port closed":
        server.cut_port()
        return server.open_port, "ServerUnavailable"
    good = server.pair
    if name == "expired certificate":
        server.show(issue_dated(server.authority, timedelta(days=-9), timedelta(days=-1)))
    else:
        server.show(issue_server(make_authority("another"), ["127.0.0.1"]))
    return lambda: server.show(good), "CertificateProblem"


@pytest.mark.parametrize(
    "name",
    [
        "port closed",
        "busy",
        "resets",
        "portal",
        "no HTTP",
        "byte by byte",
        "half answers",
        "unknown agent",
        "expired certificate",
        "changed certificate",
    ],
)
def test_hour_of_trouble_is_survived(
    name: str, make_way: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    time_of = Simulated()
    way = make_way(clock=time_of.clock, wait=time_of.wait)
    way.put(1)
    way.driver.start()
    until(way.is_empty)
    time_of.each = lambda: way.put(1)
    end_it, told = trouble_of_an_hour(name, server, steps)
    server.cut_links()
    way.put(1)
    way.change(request_timeout=0.1 if name == "byte by byte" else 10.0)
    assert time_of.over.wait(60)
    attempts = way.driver.counters.failures
    problem = way.driver.machine.problem
    time_of.each = lambda: None
    end_it()
    if name == "byte by byte":
        way.change(request_timeout=10.0)
    time_of.mended.set()
    until(lambda: way.is_empty() and len(way.news) >= 3)
    assert server.ids() == way.sent
    assert way.losses.totals() == {}
    assert way.kinds() == ["ServerConnected", told, "ServerConnected"]
    assert problem
    assert way.news[1][1]["problem"]
    # A rest is never shorter than half of its step: 0.25 s, 0.5 s … 30 s, 30 s …
    assert 30 <= attempts <= 130
    assert min(time_of.waits[12:-2], default=60) >= 25
    assert sum(time_of.waits) >= HOUR


def test_hour_with_a_dead_proxy_is_survived(
    make_way: Callable[..., Way], server: Any, tinyproxy: Any, until: Callable[..., Any]
) -> None:
    time_of = Simulated()
    proxy = parse(tinyproxy.place)
    way = make_way(proxy=proxy, clock=time_of.clock, wait=time_of.wait)
    way.put(1)
    way.driver.start()
    until(way.is_empty)
    time_of.each = lambda: way.put(1)
    tinyproxy.stop()
    way.put(1)
    assert time_of.over.wait(60)
    assert f"the proxy {proxy.name} could not be reached" in way.driver.machine.problem
    time_of.each = lambda: None
    connections = server.connections
    assert connections == 1  # it was not passed by
    tinyproxy.start()
    time_of.mended.set()
    until(lambda: way.is_empty() and len(way.news) >= 3)
    assert server.ids() == way.sent
    assert way.kinds() == ["ServerConnected", "ServerUnavailable", "ServerConnected"]
    assert way.driver.counters.failures <= 130
