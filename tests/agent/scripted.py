"""A real HTTPS server that follows a script: what an EDR server, or something in between, may do.

One step is followed for each request with packets, and one for each synchronization; when there
are none left, the server behaves. It keeps what it took, as a server's log would.
"""

from __future__ import annotations

import json
import ssl
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import zstandard
from tests.agent.scripted_http import Https, start, stop
from tests.agent.steps import (
    AGENT_ID,
    Deaf,
    Endless,
    Half,
    Hang,
    Lose,
    Raw,
    Refuse,
    Reset,
    Say,
    Step,
    Trickle,
)

from deodar.agent.settings import AgentSettings
from deodar.kit import settings as toml
from deodar.kit.directory import StateDirectory
from deodar.tls import certificates
from deodar.tls.certificates import Pair, fingerprint, issue_client, make_request

__all__ = [
    "AGENT_ID",
    "Deaf",
    "Endless",
    "Half",
    "Hang",
    "Log",
    "Lose",
    "Raw",
    "Refuse",
    "Reset",
    "Say",
    "Server",
    "Step",
    "Trickle",
    "issue_dated",
    "start",
    "stop",
]

SERVER_ID = "server-1"


@dataclass
class Log:
    """What was taken; servers of one installation share it."""

    committed: dict[tuple[str, str], int] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    packets: int = 0
    """Requests that were taken."""
    duplicates: int = 0
    partial: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class Server:
    """The script, and what came of it."""

    authority: Pair
    pair: Pair
    script: deque[Step | None] = field(default_factory=deque)
    sync_script: deque[Step | None] = field(default_factory=deque)
    policy: dict[str, Any] | None = None
    """With its number as "version"."""
    log: Log = field(default_factory=Log)
    requests: int = 0
    """Requests with packets."""
    arrivals: list[float] = field(default_factory=list)
    """When they came, time.monotonic()."""
    syncs: list[dict[str, Any]] = field(default_factory=list)
    sync_requests: int = 0
    connections: int = 0
    caller: str = ""
    """What the last request said it came from."""
    largest_events: int | None = None
    """Requests with more events are refused with 413."""
    secrets: set[str] = field(default_factory=set)
    agents: set[str] = field(default_factory=set)
    url: str = ""
    https: Https | None = None

    @property
    def pin(self) -> str:
        return fingerprint(self.authority.certificate)

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("https://").rpartition(":")
        return host, int(port)

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.log.events

    @property
    def duplicates(self) -> int:
        return self.log.duplicates

    @property
    def packets(self) -> int:
        return self.log.packets

    @property
    def greetings(self) -> int:
        """Synchronizations, which are how an agent says that it is there."""
        return len(self.syncs)

    def ids(self) -> list[str]:
        with self.log.lock:
            return [event["Id"] for event in self.log.events]

    def enrol(self, folder: Path, **tuning: Any) -> StateDirectory:
        """Make an agent's folder as enrolment would; `tuning` is for agent.toml."""
        directory = StateDirectory.create(folder)
        request, key = make_request("agent")
        directory.write_secret("client.key", key)
        directory.write_secret("client.crt", issue_client(self.authority, request, AGENT_ID))
        directory.write_secret("server.crt", self.authority.certificate)
        known = AgentSettings(agent_id=AGENT_ID, **tuning)
        directory.write_secret("agent.toml", toml.dump(known).encode())
        (directory.path / "settings").mkdir(mode=0o700, exist_ok=True)
        host, port = self.address
        directory.write_secret(
            "settings/KATAEDR.ini",
            "UseClientPinnedCertificate=Yes\n"
            f"[Endpoints.item_0000]\nAddress={host}\nPort={port}\n".encode(),
        )
        return directory

    def context(self, folder: Path | None = None, *, trusts: bytes | None = None) -> ssl.SSLContext:
        """Return a client's context that trusts one authority, and shows `folder`'s certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        trusted = (trusts or self.authority.certificate).decode()
        context.load_verify_locations(cadata=trusted)
        if folder is not None:
            context.load_cert_chain(folder / "client.crt", folder / "client.key")
        return context

    def show(self, pair: Pair) -> None:
        """Show another certificate to those who connect from now on."""
        assert self.https is not None
        self.pair = pair
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(pair.key + pair.certificate)
            file.flush()
            self.https.tls.load_cert_chain(file.name)

    def cut_port(self) -> None:
        """Listen no more, and close all connections."""
        assert self.https is not None
        stop(self.https)

    def open_port(self) -> None:
        """Listen again on the same port."""
        with tempfile.TemporaryDirectory() as folder:
            start(self, Path(folder))

    def cut_links(self) -> None:
        """Close all connections."""
        assert self.https is not None
        self.https.cut()

    def take(self, agent: str, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        """Take a request with packets as an EDR server does; returns status and answer."""
        last = int(headers["Deodar-Packet"])
        first = int(headers["Deodar-Packet-First"] or last)
        source = agent, headers["Deodar-Spool"]
        reader = zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True)
        events = [json.loads(line) for line in reader.readall().splitlines() if line.strip()]
        if self.largest_events is not None and len(events) > self.largest_events:
            return 413, {"error": "too many events"}
        answer = {"packet": last, "events": len(events), "dead": 0}
        with self.log.lock:
            committed = self.log.committed.get(source, 0)
            if last <= committed:
                self.log.duplicates += 1
                return 200, {**answer, "duplicate": True}
            if first <= committed:
                self.log.partial += 1
                return 409, {"error": "a part is there already", "committed": committed}
            self.log.committed[source] = last
            self.log.packets += 1
            self.log.events += events
        return 200, answer

    def synchronize(self, report: dict[str, Any]) -> dict[str, Any]:
        """Answer to a report."""
        self.syncs.append(report)
        version = self.policy["version"] if self.policy else 0
        answer = {
            "server_id": SERVER_ID,
            "time_us": time.time_ns() // 1000,
            "policy_version": version,
            "policy": None,
        }
        if version != report["policy_version"]:
            answer["policy"] = self.policy
        return answer


def issue_dated(authority: Pair, begin: timedelta, end: timedelta, client: str = "") -> Pair:
    """Return a server's pair, or the agent `client`'s, valid from now + begin to now + end."""
    draft = certificates._end_entity(
        certificates._name(client or "127.0.0.1"),
        (key := certificates.ec.generate_private_key(certificates.ec.SECP256R1())).public_key(),
        1,
        (certificates._CLIENT if client else certificates._SERVER,),
    )
    draft._not_valid_before = draft._not_valid_after = None
    now = datetime.now(UTC)
    draft = draft.not_valid_before(now + begin).not_valid_after(now + end)
    return Pair(certificates._issue(draft, authority), certificates.key_pem(key))
