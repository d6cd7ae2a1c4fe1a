from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import zstandard

from deodar import __version__
from deodar.agent import uplink
from deodar.agent.enrolled import load, server_context
from deodar.agent.loss import LossBook
from deodar.agent.packets import Packer
from deodar.agent.settings import SpoolSettings
from deodar.agent.spool import Spool
from deodar.agent.uplink import State
from deodar.agent.uplink_driver import UplinkDriver
from deodar.tls.certificates import Pair, issue_client, make_authority, make_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAXIMUM_WAIT = 0.05


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplink, "BACKOFF_FIRST", 0.01)
    monkeypatch.setattr(uplink, "BACKOFF_LIMIT", MAXIMUM_WAIT)
    monkeypatch.setattr(uplink, "REFUSED_WAIT", MAXIMUM_WAIT)


class Way:
    """A spool and the driver that empties it."""

    def __init__(self, folder: Path, server: Any, **settings: Any) -> None:
        directory = server.enrol(folder)
        agent = load(directory)
        known = msgspec.structs.replace(agent.server, **settings)
        self.losses = LossBook()
        self.folder = folder
        self.spool = Spool(folder / "spool", SpoolSettings(), self.losses)
        self.sent: list[str] = []
        self.packer = Packer()
        self.driver = UplinkDriver(
            known,
            self.spool,
            self.losses,
            tls=server_context(directory, agent),
            dead_folder=folder / "dead",
        )

    def put(self, packets: int, events: int = 2) -> None:
        for _ in range(packets):
            ids = [f"event-{len(self.sent) + number}" for number in range(events)]
            self.sent += ids
            lines = [json.dumps({"Id": identity}).encode() for identity in ids]
            self.spool.put(self.packer.pack(lines, 1, 2))

    def is_empty(self) -> bool:
        return self.spool.state().packets == 0


@pytest.fixture
def make(tmp_path: Path, server: Any) -> Iterator[Callable[..., Way]]:
    made: list[Way] = []

    def build(**settings: Any) -> Way:
        way = Way(tmp_path / "agent", server, **settings)
        made.append(way)
        return way

    yield build
    for way in made:
        way.driver.stop(5)
        way.spool.close()


def test_packets_arrive_in_order_over_tls(
    make: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    way = make()
    way.put(20)
    way.driver.start()
    until(way.is_empty)
    assert server.ids() == way.sent
    assert server.caller == f"deodar-agent/{__version__}"
    assert way.driver.counters.packets == 20
    assert way.driver.counters.events == 40
    assert way.driver.machine.state is State.CONNECTED
    assert way.losses.totals() == {}


def test_packet_that_comes_later_is_sent_at_once(
    make: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    way = make()
    way.driver.start()
    until(lambda: server.greetings)
    way.put(1)
    until(way.is_empty, 0.8)
    assert server.ids() == way.sent


@pytest.mark.parametrize(
    "trouble",
    [
        "503",
        "503 with Retry-After",
        "500",
        "reset in the body",
        "answer lost",
        "answer too late",
        "nonsense",
        "answer without an end",
        "confirms another packet",
        "unknown agent",
    ],
)
def test_every_event_arrives_once_whatever_the_server_does(
    trouble: str, make: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    scripted = {
        "503": steps.Say(503),
        "503 with Retry-After": steps.Say(503, headers=(("Retry-After", "0"),)),
        "500": steps.Say(500, b"<html>"),
        "reset in the body": steps.Reset(),
        "answer lost": steps.Lose(),
        "answer too late": steps.Hang(0.6),
        "nonsense": steps.Say(200, b"<html>please log in</html>"),
        "answer without an end": steps.Say(200, b"x" * 3_000_000),
        "confirms another packet": steps.Say(200, b'{"packet": 99, "events": 2}'),
        "unknown agent": steps.Say(401, b'{"error": "unknown"}'),
    }
    server.script.extend([scripted[trouble], None, scripted[trouble], scripted[trouble]])
    way = make(request_timeout=0.3)
    way.put(5)
    way.driver.start()
    until(way.is_empty)
    assert server.ids() == way.sent
    assert server.packets == 5
    assert server.duplicates == (3 if trouble in ("answer lost", "answer too late") else 0)
    assert way.driver.counters.failures == 3
    assert way.losses.totals() == {}


def test_lost_answer_makes_a_duplicate_that_is_counted(
    make: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    server.script.append(steps.Lose())
    way = make()
    way.put(1)
    way.driver.start()
    until(way.is_empty)
    assert server.duplicates == way.driver.counters.duplicates == 1
    assert server.ids() == way.sent


@pytest.mark.parametrize(("status", "times"), [(413, 1), (400, 3), (415, 3)])
def test_poison_goes_aside_and_what_follows_arrives(
    status: int,
    times: int,
    make: Callable[..., Way],
    server: Any,
    steps: Any,
    until: Callable[..., Any],
) -> None:
    server.script.extend([None, *[steps.Say(status, b'{"error": "no"}')] * times])
    way = make()
    way.put(3)
    way.driver.start()
    until(way.is_empty)
    assert server.ids() == way.sent[:2] + way.sent[4:]
    assert way.driver.counters.set_aside == 1
    assert way.losses.totals() == {"uplink": 2}
    (loss,) = way.losses.take()
    assert str(status) in loss.reason
    (dead,) = (way.folder / "dead").iterdir()
    lines = zstandard.ZstdDecompressor().stream_reader(dead.read_bytes()).readall().splitlines()
    assert [json.loads(line)["Id"] for line in lines] == way.sent[2:4]


def test_server_that_is_down_is_found_when_it_is_back(
    make: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    way = make(url="https://127.0.0.1:1")
    way.put(1)
    way.driver.start()
    until(lambda: way.driver.counters.failures > 3)
    assert way.driver.machine.state is State.RETRYING
    assert "could not be reached" in way.driver.machine.problem
    assert not way.is_empty()


def test_another_server_gets_nothing(
    make: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    trusted = server.authority
    server.authority = make_authority("the one that the agent knows")
    way = make()
    server.authority = trusted
    way.put(1)
    way.driver.start()
    until(lambda: way.driver.counters.failures > 1)
    assert server.requests == 0
    assert "certificate verify failed" in way.driver.machine.problem


def test_another_agent_cannot_pose_as_the_server(
    make: Callable[..., Way],
    server: Any,
    steps: Any,
    until: Callable[..., Any],
    tmp_path: Path,
) -> None:
    request, key = make_request("agent")
    posing = Pair(issue_client(server.authority, request, "agent"), key)
    impostor = type(server)(server.authority, posing)
    https = steps.start(impostor, tmp_path)
    way = make(url=impostor.url)
    way.put(1)
    way.driver.start()
    until(lambda: way.driver.counters.failures > 1)
    problem = way.driver.machine.problem
    steps.stop(https)
    assert impostor.requests == 0
    assert "certificate verify failed" in problem


def test_events_that_the_server_could_not_use_are_counted(
    make: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    server.script.append(steps.Say(200, b'{"packet": 1, "events": 0, "dead": 2}'))
    way = make()
    way.put(1)
    way.driver.start()
    until(way.is_empty)
    assert way.driver.counters.dead_events == 2


def test_quiet_agent_greets_the_server_now_and_then(
    make: Callable[..., Way], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    way = make(heartbeat=0.1)
    way.driver.start()
    until(lambda: server.greetings >= 2)
    assert way.driver.counters.last_contact is not None
    assert abs(way.driver.counters.last_contact - time.time()) < 20
    assert way.driver.machine.state is State.CONNECTED


def test_stop_ends_a_long_wait(
    make: Callable[..., Way], monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    monkeypatch.setattr(uplink, "BACKOFF_FIRST", 600)
    monkeypatch.setattr(uplink, "BACKOFF_LIMIT", 600)
    way = make(url="https://127.0.0.1:1")
    way.put(1)
    way.driver.start()
    until(lambda: way.driver.counters.failures)
    started = time.monotonic()
    way.driver.stop(5)
    assert time.monotonic() - started < 2
    assert not way.is_empty()
