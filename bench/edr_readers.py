"""Twenty external systems with different filters at the EDR server, and one without.

First one system alone reads the whole log at full speed, then one beside the twenty, which read
it too (goal: 100,000 events/s). When these have reached the end and follow the log, an agent sends
a packet every 50 ms: from its acknowledgement, which comes with the commit, to the whole answer at
a system that waits for it (goal: under 200 ms). The twenty are in a process of their own.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from typing import TYPE_CHECKING

import httpx
import zstandard

from bench.fleet import enrol
from bench.followers import FILTERS, Followers
from bench.report import Line, cpu_seconds, percentiles
from bench.stand import give, rate, stack, write_events
from deodar.columnar.envelope import split
from deodar.demo.stack import deodar
from deodar.edr import installation
from deodar.edr.external_systems import Register
from deodar.tls.certificates import Pair, self_signed
from deodar.tls.contexts import pinned_client, unverified_client

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.demo.stack import Stack
    from deodar.edr.installation import Installation

EVENTS = 300_000
PAGE = 10_000
SAMPLES = 200
EVERY = 0.05
GOAL, GOAL_SECONDS = 100_000, 0.2
BATCH = 10


class System:
    """An accepted external system."""

    def __init__(self, url: str, register: Register, pair: Pair, identity: str = "") -> None:
        identity = identity or str(uuid.uuid4())
        self._address = f"{url}/kata/events_api/v1/{identity}/events"
        self._client = httpx.Client(verify=unverified_client(pair), timeout=60, trust_env=False)
        assert self._client.get(self._address).status_code == 401
        register.accept(identity)
        self._token: dict[str, str] = {}

    def page(self, **asked: str) -> list[bytes]:
        """Return the next events."""
        answer = self._client.get(self._address, params=self._token | asked).raise_for_status()
        found = split(answer.content)
        self._token = {"continuation_token": found.token or ""}
        return found.events

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def accepted(url: str, register: Register, folder: Path) -> Path:
    """Make a folder with the certificates of accepted systems, one for each filter."""
    folder.mkdir()
    for number in range(len(FILTERS)):
        pair = self_signed(f"s{number}")
        System(url, register, pair, identity := str(uuid.uuid4())).close()
        (folder / f"{identity}.pem").write_bytes(pair.pem)
    return folder


def read(system: System, events: int) -> float:
    """Read from the beginning on; returns events per second."""
    count, began = 0, time.monotonic()
    while count < events:
        found = system.page(max_events=str(PAGE), max_timeout="PT0S")
        assert found, f"the log has {count} of {events} events"
        count += len(found)
    return rate(count, began)


def latencies(
    url: str, made: Installation, folder: Path, system: System, count: int
) -> list[float]:
    """Return the seconds from acknowledgement to delivery of some packets."""
    context = pinned_client([made.pin], Pair(
        (folder / "00000.pem").read_bytes(), (folder / "agents.key").read_bytes()
    ))  # fmt: skip
    acknowledged: dict[int, float] = {}
    delivered: dict[int, float] = {}

    def receive() -> None:
        while len(delivered) < count:
            page = system.page(max_events=str(BATCH), max_timeout="PT10S")
            now = time.monotonic()
            for event in page:
                delivered.setdefault(json.loads(bytes(event))["BenchPacket"], now)

    while system.page(max_events=str(PAGE), max_timeout="PT0S"):
        pass
    receiver = threading.Thread(target=receive)
    receiver.start()
    with httpx.Client(base_url=url, verify=context, timeout=60, trust_env=False) as agent:
        for number in range(count):
            event = b'{"EventType":"process","BenchPacket":%d}\n' % number
            headers = {"Deodar-Spool": "latency", "Deodar-Packet": str(number + 1),
                       "Content-Encoding": "zstd"}  # fmt: skip
            body = zstandard.compress(event * BATCH)
            agent.post("/agent/v1/packets", content=body, headers=headers).raise_for_status()
            acknowledged[number] = time.monotonic()
            time.sleep(EVERY)
    receiver.join(60)
    return [max(0.0, delivered[number] - at) for number, at in acknowledged.items()]


def measure(parts: Stack, events: int, samples: int) -> list[Line]:
    """Measure with so many events and packets."""
    url = parts.start_edr()["url"]
    deodar("edr", "settings", "set", "events_api.rate", "0", "--dir", parts.edr)  # no limit
    parts.import_events(
        write_events(parts.folder / "events.ndjson", events, size=min(events, 20_000))
    )
    made = installation.open_(parts.edr)
    enrol(made, parts.folder / "fleet", 1)
    with contextlib.closing(made.database()) as database:
        register = Register(database, made.settings.external_systems)
        folder = accepted(url, register, parts.folder / "followers")
        alone, beside = (System(url, register, self_signed(f"r{n}")) for n in range(2))
    server = parts.children["edr"]
    used = cpu_seconds(server.pid)
    rate_alone = read(alone, events)
    used = cpu_seconds(server.pid) - used
    followers = Followers(url, folder)
    rate_beside = read(beside, events)
    caught_up = followers.caught_up()
    found = latencies(url, made, parts.folder / "fleet", beside, samples)
    got = followers.end()
    alone.close()
    beside.close()
    told = percentiles(found)
    with_20 = f"beside {len(FILTERS)} with filters"
    return [
        Line("events API, one reader alone", rate_alone, "events/s", rate_alone / GOAL,
             f"the goal ({GOAL:,}/s)"),
        Line("events API, processor time of the server", used / events * 1e6, "µs/event"),
        Line(f"events API, one reader {with_20}", rate_beside, "events/s", rate_beside / GOAL,
             f"the goal ({GOAL:,}/s)"),
        Line(f"events that the {len(FILTERS)} got meanwhile", got, "events"),
        Line(f"time until the {len(FILTERS)} had the whole log", caught_up, "s"),
        *(Line(f"commit to delivery {with_20}, {name}", told[name], "s",
               told[name] / GOAL_SECONDS, f"the goal ({GOAL_SECONDS} s)") for name in told),
    ]  # fmt: skip


def main() -> None:
    """Measure and print."""
    with stack() as parts:
        give(*measure(parts, EVENTS, SAMPLES))


if __name__ == "__main__":
    main()
