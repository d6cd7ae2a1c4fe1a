"""Whatever goes wrong between agent and server: each event is delivered once, and in order."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from deodar.demo.stack import DEODAR, attempts, deodar
from deodar.events.builders import EventBuilder
from deodar.kit.children import Child
from deodar.tls.certificates import issue_server, load_pair, make_authority
from soak.proxy import FaultyWay
from soak.verdict import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deodar.demo.stack import Stack

EVENTS = 8000
RATE = 1000
SPELL = 2.5

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


class Way:
    """An agent that replays events to a server over a way that can be made to fail."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.url = stack.start_edr()["url"]
        self.way = FaultyWay(("127.0.0.1", int(self.url.rpartition(":")[2])))
        stack.enroll_agent()
        self.set("ConnectionTimeout=1", "RequestTimeout=2", f"Endpoints.item_0000.Port={self.port}")
        self.file = folder / "events.ndjson"
        self.file.write_bytes(EventBuilder(5).ndjson(EVENTS))

    @property
    def port(self) -> int:
        return self.way.port

    def set(self, *words: str) -> None:
        deodar("agent", "task", "settings", "set", "KATAEDR", *words, "--dir", self.stack.agent)

    def start(self) -> Child:
        words = ["agent", "run", "--dir", str(self.stack.agent), "--replay", str(self.file)]
        rate = ["--rate", str(RATE), "--exit-at-end"]
        child = Child("agent", [*DEODAR, *words, *rate], self.folder)
        self.stack.children["agent"] = child.start()
        child.ready()
        return child

    def status(self) -> dict[str, Any]:
        text = deodar("agent", "status", "--json", "--dir", self.stack.agent)
        found: dict[str, Any] = json.loads(text)
        return found

    def problem(self, *words: str) -> str:
        """Wait until the agent's status tells of a problem that has one of these words."""
        told = ""
        for _ in attempts(20, pause=0.3):
            told = self.status()["uplink"]["problem"]
            if any(word in told for word in words):
                return told
        pytest.fail(f"no word of {words} in the problem: {told!r}")

    def delivered(self) -> list[str]:
        """Return the ids in the order of the server's log."""
        return [event["Id"] for event in read(self.url, self.stack.edr)]

    def sent(self) -> list[str]:
        return [json.loads(line)["Id"] for line in self.file.read_bytes().splitlines()]


@pytest.fixture
def way(stack: Stack, tmp_path: Path) -> Iterator[Way]:
    made = Way(stack, tmp_path)
    yield made
    made.way.close()


def _mode(mode: str) -> Callable[[Way], None]:
    def spoil(way: Way) -> None:
        way.way.mode = mode
        time.sleep(SPELL)
        way.way.mode = "open"

    return spoil


def _another_certificate(way: Way) -> None:
    """Let the server show a certificate of another authority for a while."""
    _with_certificate(way, issue_server(make_authority("another"), ["127.0.0.1"]))
    assert "certificate" in way.problem("certificate")
    _with_certificate(way, None)


def _expired_certificate(way: Way) -> None:
    """Let the server show a certificate of the right authority that has ended."""
    authority = load_pair(
        (way.stack.edr / "authority.pem").read_bytes()
        + (way.stack.edr / "authority.key").read_bytes()
    )
    _with_certificate(way, issue_server(authority, ["127.0.0.1"], days=0))
    assert "expired" in way.problem("expired")
    _with_certificate(way, None)


def _with_certificate(way: Way, pair: Any) -> None:
    """Start the server again with another pair; None puts its own back."""
    folder, kept = way.stack.edr, way.folder / "kept"
    server = way.stack.children["edr"]
    server.stop()
    names = ("server.pem", "server.key")
    if pair is None:
        for name in names:
            shutil.copy2(kept / name, folder / name)
    else:
        kept.mkdir(exist_ok=True)
        for name, content in zip(names, (pair.certificate, pair.key), strict=True):
            shutil.copy2(folder / name, kept / name)
            (folder / name).write_bytes(content)
    way.stack.restart("edr")


def _killed_server(way: Way) -> None:
    way.stack.children["edr"].kill()
    time.sleep(SPELL)
    way.stack.restart("edr")


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(_mode("refuses"), id="refuses"),
        pytest.param(_mode("hangs"), id="hangs"),
        pytest.param(_mode("slow"), id="slow"),
        pytest.param(_mode("resets"), id="resets in mid-body"),
        pytest.param(_killed_server, id="server killed"),
        pytest.param(_another_certificate, id="changed certificate"),
        pytest.param(_expired_certificate, id="expired certificate"),
    ],
)
def test_every_event_is_delivered_once_and_in_order_afterwards(
    way: Way, spoil: Callable[[Way], None]
) -> None:
    agent = way.start()
    time.sleep(1.5)
    spoil(way)
    assert agent.wait(90) == 0
    assert way.delivered() == way.sent()


def test_a_proxy_that_dies_and_comes_back_loses_nothing(way: Way, tmp_path: Path) -> None:
    program = shutil.which("tinyproxy")
    if program is None:
        pytest.skip("tinyproxy is not installed (Debian package tinyproxy)")
    port = FaultyWay(("127.0.0.1", 1)).port + 1
    settings = tmp_path / "tinyproxy.conf"
    settings.write_text(f"Port {port}\nListen 127.0.0.1\nTimeout 30\nAllow 127.0.0.1\n")
    command = [program, "-d", "-c", str(settings)]
    where = ("--dir", way.stack.agent)
    words = ("UseProxy=Yes", f"ProxyServer=127.0.0.1:{port}")
    deodar("agent", "settings", "set", *words, *where)
    proxy = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        agent = way.start()
        time.sleep(1.5)
        proxy.kill()
        proxy.wait(10)
        assert "proxy" in way.problem("proxy")
        proxy = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        assert agent.wait(90) == 0
    finally:
        proxy.kill()
        proxy.wait(10)
    assert way.delivered() == way.sent()
