"""Many agents at once, each with a certificate of its own, in a process beside the server's.

``python -m bench.fleet FOLDER URL send N`` or ``… idle`` is that process: it connects every agent
of a folder, prints a line of JSON, waits for a line on its input, and begins. ``send`` lets each
agent deliver N packets and prints what came of it; ``idle`` lets each wait for orders from the
moment on that it is connected.

Agents are entered into the server's database as enrolling would do it. Their keys are the same,
which costs the server nothing and saves the benchmark much of its time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

import zstandard
from sqlalchemy import insert

from bench.report import percentiles
from deodar.edr.database import now_us
from deodar.edr.tables import endpoints
from deodar.events.builders import EventBuilder
from deodar.kit.serve import raise_file_limit
from deodar.tls import certificates

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from deodar.edr.installation import Installation

    Agents = list["Agent"]
    Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
    Task = Coroutine[Any, Any, None]

PACKET = 500
"""Events in a packet."""
BODIES = 32
_AGENT_ID = re.compile(rb'"AgentId": ?"[^"]+"')
KEY = "agents.key"
CONNECTING = 64
"""Agents that connect at the same time, as they do not come all in one moment either."""
TASKING = "/agent/v1/tasking?since=0&wait=300"
TRIES = 5

_working: set[asyncio.Task[None]] = set()


def enrol(installation: Installation, folder: Path, count: int) -> None:
    """Enter `count` agents into the server's database and write their certificates."""
    folder.mkdir()
    request, key = certificates.make_request("bench")
    (folder / KEY).write_bytes(key)
    (folder / "authority").write_bytes(installation.authority.certificate)
    rows = []
    for number in range(count):
        agent_id = str(UUID(int=number + 1))
        issued = certificates.issue_client(installation.authority, request, agent_id)
        (folder / f"{number:05}.pem").write_bytes(issued)
        digest = certificates.fingerprint(issued)
        row = {"agent_id": agent_id, "digest": digest, "state": "enrolled", "name": f"h{number}"}
        rows.append({**row, "enrolled_us": now_us()})
    database = installation.database()
    with database.write() as connection:
        connection.execute(insert(endpoints), rows)
    database.close()


class Fleet:
    """The process with the agents, as the benchmark sees it."""

    def __init__(self, folder: Path, url: str, *how: object) -> None:
        """Start it and wait until all agents are connected; `seconds` is how long that took."""
        command = [sys.executable, "-m", "bench.fleet", folder, url, *how]
        self._process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        told = self._line()
        self.connected, self.seconds = int(told["connected"]), float(told["seconds"])

    def go(self) -> None:
        """Let the agents begin."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def result(self) -> dict[str, Any]:
        """Wait for the end and return what came of it."""
        told = self._line()
        self._process.wait(60)
        return told

    def end(self) -> None:
        """End it now."""
        self._process.kill()
        self._process.wait(60)

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the agents' process ended with {self._process.wait(60)}")
        told: dict[str, Any] = json.loads(line)
        return told


@dataclass
class Agent:
    """One connected agent."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, method: str, path: str, headers: str = "", body: bytes = b"") -> Answer:
        """Send a request and return the answer; `headers` are lines."""
        text = f"{method} {path} HTTP/1.1\r\nHost: edr\r\nUser-Agent: deodar-agent/1\r\n{headers}"
        self.writer.write(text.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return Answer(int(head[9:12]), await self.reader.readexactly(length))


@dataclass(frozen=True)
class Answer:
    """A status and a body."""

    status: int
    body: bytes


async def connect(folder: Path, url: str, then: Callable[[Agent], Task] | None = None) -> Agents:
    """Connect every agent of a folder and let it greet the server; `then` begins its work."""
    places = asyncio.Semaphore(CONNECTING)
    parts = urlsplit(url)

    async def one(number: int, path: Path) -> Agent:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(folder / "authority")
        context.load_cert_chain(path, folder / KEY)
        async with places:
            opened = await _open(str(parts.hostname), parts.port or 443, context)
            agent = Agent(number, *opened)
            # At once, as agents do: a server cuts off whom it hears nothing from.
            assert (await agent.ask("GET", "/agent/v1/hello")).status == 200
        if then is not None:
            _working.add(asyncio.create_task(then(agent)))
        return agent

    found = enumerate(_certificates(folder))
    return await asyncio.gather(*(one(number, path) for number, path in found))


async def _open(host: str, port: int, context: ssl.SSLContext) -> Streams:
    """Connect, again when the server was too busy for the handshake."""
    for _ in range(TRIES):
        with contextlib.suppress(ConnectionError, TimeoutError):
            return await asyncio.open_connection(host, port, ssl=context)
        await asyncio.sleep(1)
    return await asyncio.open_connection(host, port, ssl=context)


class Sending:
    """Every agent sends some packets, one after another, and again what is refused."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._latencies: list[float] = []
        self._refused = 0
        self._packed = zstandard.ZstdCompressor(3)
        self._plain = [EventBuilder(n).ndjson(PACKET) for n in range(BODIES)]
        self._bodies: dict[int, list[bytes]] = {}
        self._bytes = 0

    def prepare(self, agents: int) -> None:
        """Make the packets of each agent, whose events have its id, as they do in earnest."""
        for agent in range(agents):
            mark = b'"AgentId":"%s"' % str(UUID(int=agent + 1)).encode()
            first = agent * self._each
            plain = [self._plain[n % BODIES] for n in range(first, first + self._each)]
            made = [self._packed.compress(_AGENT_ID.sub(mark, body)) for body in plain]
            self._bodies[agent] = made
            self._bytes += sum(map(len, made))

    async def run(self, agents: list[Agent]) -> dict[str, Any]:
        """Return how long it took and what it cost this process."""
        began, used = time.monotonic(), time.process_time()
        await asyncio.gather(*map(self._work, agents))
        return {
            "seconds": time.monotonic() - began,
            "events": len(agents) * self._each * PACKET,
            "cpu": time.process_time() - used,
            "refused": self._refused,
            "latency": percentiles(self._latencies),
            "packet_bytes": self._bytes // (len(agents) * self._each),
        }

    async def _work(self, agent: Agent) -> None:
        for number in range(1, self._each + 1):
            headers = f"Content-Encoding: zstd\r\nDeodar-Spool: b\r\nDeodar-Packet: {number}\r\n"
            body = self._bodies[agent.number][number - 1]
            began = time.monotonic()
            while not self._taken(await agent.ask("POST", "/agent/v1/packets", headers, body)):
                self._refused += 1
                await asyncio.sleep(0.5)
            self._latencies.append(time.monotonic() - began)

    def _taken(self, answer: Answer) -> bool:
        if answer.status == 503:
            return False
        assert answer.status == 200, answer
        told = json.loads(answer.body)
        assert told["events"] == PACKET or told.get("duplicate"), answer
        return True


async def wait(agent: Agent) -> None:
    """Let an agent wait for orders, and ask again whenever it is told that there are none."""
    while True:
        answer = await agent.ask("GET", TASKING)
        assert answer.status == 200, answer


async def main(folder: Path, url: str, how: str, each: int = 0) -> None:
    """Do what the module's text says."""
    raise_file_limit()
    sending = Sending(each)
    if how == "send":
        sending.prepare(len(_certificates(folder)))
    began = time.monotonic()
    agents = await connect(folder, url, None if how == "send" else wait)
    _print({"connected": len(agents), "seconds": time.monotonic() - began})
    await asyncio.to_thread(sys.stdin.readline)
    if how == "send":
        _print(await sending.run(agents))
    await asyncio.gather(*_working)


def _certificates(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.pem"))


def _print(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], *map(int, sys.argv[4:])))
