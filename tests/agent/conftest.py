"""What the agent's tests share: settings, a context for this host, and a scripted HTTPS server."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from deodar.agent.enrich.context import Context
from deodar.agent.enrich.host import HostFacts
from deodar.agent.enrolled import AUTHORITY, CERTIFICATE, KEY, SETTINGS
from deodar.agent.settings import AgentSettings, ServerSettings
from deodar.kit import settings as toml
from deodar.kit.directory import StateDirectory
from deodar.tls.certificates import (
    Pair,
    fingerprint,
    issue_client,
    issue_server,
    make_authority,
    make_request,
    subject_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOST = HostFacts("host-1", "Linux", "Debian GNU/Linux 12", "6.1.0", "boot-1", "machine-1")
AGENT_ID = "3f0c2a4e-0000-4000-8000-000000000001"


def wait_for(condition: Callable[[], Any], limit: float = 20.0) -> Any:
    """Return what the condition gives as soon as it is true; fail after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return found


@pytest.fixture
def until() -> Callable[..., Any]:
    return wait_for


@pytest.fixture
def settings() -> AgentSettings:
    server = ServerSettings(url="https://127.0.0.1:9443", pins=["0" * 64])
    return AgentSettings(agent_id=AGENT_ID, server=server)


@pytest.fixture
def context(settings: AgentSettings) -> Context:
    return Context(settings, HOST, version="1.2.3", sensor_tier="bpf")


# How the scripted server may treat one packet, instead of taking it.


@dataclass(frozen=True)
class Say:
    """Answer this, and forget the packet."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Lose:
    """Take the packet, but break the connection before the answer."""


@dataclass(frozen=True)
class Reset:
    """Break the connection with a reset in the middle of the body, take nothing."""


@dataclass(frozen=True)
class Hang:
    """Take the packet, then say nothing for so many seconds."""

    seconds: float


Step = Say | Lose | Reset | Hang


@dataclass
class Server:
    """A real HTTPS server that follows a script, one step a packet, and then behaves."""

    authority: Pair
    pair: Pair
    script: deque[Step | None] = field(default_factory=deque)
    greeting: Say = field(default_factory=lambda: Say(200, b'{"server_id": "s", "time_us": 1}'))
    committed: dict[tuple[str, str], int] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    packets: int = 0
    requests: int = 0
    greetings: int = 0
    caller: str = ""
    """What the last request said it came from."""
    duplicates: int = 0
    secrets: set[str] = field(default_factory=set)
    agents: set[str] = field(default_factory=set)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def pin(self) -> str:
        return fingerprint(self.authority.certificate)

    def enrol(self, folder: Path, **changes: Any) -> StateDirectory:
        """Make an agent's folder as enrolment would, with other settings if wished."""
        directory = StateDirectory.create(folder)
        request, key = make_request("agent")
        directory.write_secret(KEY, key)
        directory.write_secret(CERTIFICATE, issue_client(self.authority, request, AGENT_ID))
        directory.write_secret(AUTHORITY, self.authority.certificate)
        server = ServerSettings(url=self.url, pins=[self.pin], **changes.pop("server", {}))
        known = AgentSettings(agent_id=AGENT_ID, server=server, **changes)
        directory.write_secret(SETTINGS, toml.dump(known).encode())
        return directory

    def ids(self) -> list[str]:
        with self.lock:
            return [event["Id"] for event in self.events]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Https

    def do_GET(self) -> None:
        script = self.server.script
        script.greetings += self.path == "/agent/v1/hello"
        self._say(script.greeting)

    def do_POST(self) -> None:
        if self.path == "/agent/v1/enroll":
            self._enroll(json.loads(self._body()))
        elif self.path == "/agent/v1/packets":
            self._packet()
        else:
            self._say(Say(404, b'{"error": "not here"}'))

    def _packet(self) -> None:
        script = self.server.script
        certificate = self.connection.getpeercert(binary_form=True)
        if certificate is None or subject_name(certificate) not in script.agents | {AGENT_ID}:
            self._say(Say(403, b'{"error": "unknown agent"}'))
            return
        script.requests += 1
        script.caller = self.headers["User-Agent"]
        step = script.script.popleft() if script.script else None
        if isinstance(step, Reset):
            self.rfile.read(16)
            self._reset()
            return
        body = self._body()
        if len(body) < int(self.headers["Content-Length"]):
            self.close_connection = True  # the agent was killed while it sent
            return
        if isinstance(step, Say):
            self._say(step)
            return
        answer = self._take(subject_name(certificate), body)
        if isinstance(step, Hang):
            self.server.stopping.wait(step.seconds)
        if isinstance(step, Lose | Hang):
            self._reset()
            return
        self._say(Say(200, json.dumps(answer).encode()))

    def _take(self, agent: str, body: bytes) -> dict[str, Any]:
        script = self.server.script
        spool, number = (agent, self.headers["Deodar-Spool"]), int(self.headers["Deodar-Packet"])
        lines = zstandard.ZstdDecompressor().stream_reader(body).readall().splitlines()
        events = [json.loads(line) for line in lines if line.strip()]
        answer = {"packet": number, "events": len(events), "dead": 0}
        with script.lock:
            if number <= script.committed.get(spool, 0):
                script.duplicates += 1
                return {**answer, "duplicate": True}
            script.committed[spool] = number
            script.packets += 1
            script.events += events
        return answer

    def _enroll(self, asked: dict[str, Any]) -> None:
        script = self.server.script
        if asked["token"] not in script.secrets:
            self._say(Say(403, b'{"error": "the enrolment token is unknown, used or outdated"}'))
            return
        script.secrets.remove(asked["token"])
        script.agents.add("agent-7")
        certificate = issue_client(script.authority, asked["request"].encode(), "agent-7")
        answer = {
            "agent_id": "agent-7",
            "certificate": certificate.decode(),
            "authority": script.authority.certificate.decode(),
        }
        self._say(Say(200, json.dumps(answer).encode()))

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _say(self, say: Say) -> None:
        self.send_response(say.status)
        for name, value in say.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(say.body)))
        self.end_headers()
        self.wfile.write(say.body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        pass


class _Https(ThreadingHTTPServer):
    daemon_threads = True
    script: Server
    stopping: threading.Event

    def handle_error(self, *_: Any) -> None:
        pass


def start(script: Server, folder: Path) -> _Https:
    """Start a server for the script on a free port; its address goes into the script."""
    pem = folder / "server.pem"
    pem.write_bytes(script.pair.key + script.pair.certificate + script.authority.certificate)
    authority = folder / "authority.pem"
    authority.write_bytes(script.authority.certificate)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    tls.load_verify_locations(authority)
    tls.verify_mode = ssl.CERT_OPTIONAL
    address = ("127.0.0.1", int(script.url.rsplit(":", 1)[1]) if script.url else 0)
    https = _Https(address, _Handler)
    https.script = script
    https.stopping = threading.Event()
    https.socket = tls.wrap_socket(https.socket, server_side=True, do_handshake_on_connect=False)
    script.url = f"https://127.0.0.1:{https.server_address[1]}"
    threading.Thread(target=https.serve_forever, args=(0.05,), daemon=True).start()
    return https


def stop(https: _Https) -> None:
    https.stopping.set()
    https.shutdown()
    https.server_close()


@pytest.fixture(scope="session")
def steps() -> SimpleNamespace:
    """What a script is made of (tests are no package, so they cannot import it)."""
    return SimpleNamespace(Say=Say, Lose=Lose, Reset=Reset, Hang=Hang, start=start, stop=stop)


@pytest.fixture(scope="session")
def authority() -> Pair:
    return make_authority("test authority")


@pytest.fixture
def server(authority: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    script = Server(authority, issue_server(authority, ["127.0.0.1"]))
    https = start(script, tmp_path_factory.mktemp("server"))
    yield script
    stop(https)
