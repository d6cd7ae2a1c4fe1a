"""The three programs, set up and started on this host as an administrator would.

Everything goes through the command line, so what the demonstration, the tests of whole ways and the
benchmarks run is what a user runs.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from deodar.demo.errors import DemoError
from deodar.kit.children import Child
from deodar.siem import control

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

HOST = "127.0.0.1"
COLLECTOR = "kedr"
ROWS = 10_000
DEODAR = (sys.executable, "-m", "deodar")
AT_ONCE = ("MaximumDataTransferTime=0.15", "UseRequestCountLimits=No")
"""How an agent sends here: each event at once, and all of them. By itself it waits for more of
them to fill a packet, and holds back what a fleet of thousands had better not send."""


@dataclass(frozen=True)
class Ports:
    """The ports to listen on; one that is taken, or 0, becomes a free one."""

    edr: int = 9443
    core: int = 7210


@dataclass
class Stack:
    """The programs' folders and processes below one folder; `close` ends what it started."""

    folder: Path
    ports: Ports = Ports()
    fetch_timeout: float = 0.25
    children: dict[str, Child] = field(default_factory=dict)

    @property
    def edr(self) -> Path:
        """The EDR server's state folder."""
        return self.folder / "edr"

    @property
    def siem(self) -> Path:
        """The SIEM's state folder."""
        return self.folder / "siem"

    @property
    def agent(self) -> Path:
        """The agent's state folder."""
        return self.folder / "agent"

    def start_edr(self) -> dict[str, Any]:
        """Set up the EDR server if need be, start it, return its ready line (key ``url``)."""
        if not (self.edr / "edr.toml").exists():
            port = free_port(self.ports.edr)
            deodar("edr", "init", "--dir", self.edr, "--host", HOST, "--port", port)
        return self._start("edr", "edr", "run", "--dir", self.edr)

    def start_core(self, edr_url: str) -> dict[str, Any]:
        """Set up the SIEM with a collector for the EDR server, start its core."""
        if not (self.siem / "siem.toml").exists():
            authority = self.edr / "authority.pem"
            port = free_port(self.ports.core)
            options = ("--port", port, "--rest-port", 0, "--edr", edr_url, "--edr-ca", authority)
            timeout = ("--fetch-timeout", self.fetch_timeout)
            deodar("siem", "init", "--dir", self.siem, *options, *timeout)
        return self._start("core", "siem", "run", "--dir", self.siem)

    def start_collector(self) -> dict[str, Any]:
        """Start the collector; it waits to be accepted by the EDR server's administrator."""
        words = ("siem", "collector", "run", COLLECTOR, "--dir", self.siem)
        return self._start("collector", *words)

    def accept_collector(self, limit: float = 20.0) -> str:
        """Accept the collector's request as the administrator of the EDR server; returns its id.

        Raises DemoError when no request appears within `limit` seconds.
        """
        for _ in attempts(limit):
            for system in self.external_systems():
                if system["state"] == "pending":
                    deodar("edr", "external-systems", "accept", system["id"], "--dir", self.edr)
                if system["state"] == "accepted":
                    return cast("str", system["id"])
        raise DemoError(
            f"the collector sent no request within {limit:g} s: "
            f"{self.children['collector'].last_words()}"
        )

    def external_systems(self) -> list[dict[str, Any]]:
        """Return what ``deodar edr external-systems list --json`` prints."""
        text = deodar("edr", "external-systems", "list", "--json", "--dir", self.edr)
        return [json.loads(line) for line in text.splitlines()]

    def enroll_agent(self) -> None:
        """Enrol an agent on this host, unless it is already."""
        if not (self.agent / "agent.toml").exists():
            token = json.loads(deodar("edr", "enroll", "--json", "--dir", self.edr))["token"]
            deodar("agent", "enroll", token, "--dir", self.agent)
            words = ("task", "settings", "set", "KATAEDR", *AT_ONCE)
            deodar("agent", *words, "--dir", self.agent)

    def start_agent(self, *options: object) -> dict[str, Any]:
        """Start the agent, enrolled if need be, with these options of ``run``."""
        self.enroll_agent()
        return self._start("agent", "agent", "run", "--dir", self.agent, *options)

    def import_events(self, file: Path) -> None:
        """Put a file of events (NDJSON) into the EDR server's log."""
        deodar("edr", "import", file, "--dir", self.edr, limit=300)

    def search(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of one SELECT, by the way that ``deodar siem search --json`` goes."""
        query = {"sql": sql, "limit": ROWS}
        answer = control.call(self.siem / "control.sock", "POST", "/search", query)
        return [json.loads(line) for line in answer.content.splitlines()]

    def restart(self, name: str) -> dict[str, Any]:
        """Start a child again after it ended, with the words that it was started with."""
        return self.children[name].start().ready()

    def close(self) -> None:
        """End every child, the newest first."""
        for child in reversed(self.children.values()):
            if child.alive:
                child.stop()

    def _start(self, name: str, *words: object) -> dict[str, Any]:
        logs = self.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        child = Child(name, [*DEODAR, *map(str, words)], logs)
        self.children[name] = child
        return child.start().ready(60)


def deodar(*words: object, limit: float = 60) -> str:
    """Run one command of the command line and return what it printed.

    Raises DemoError with the command's own words when it fails or takes over `limit` seconds.
    """
    command = [*DEODAR, *map(str, words)]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise DemoError(f"deodar {_shown(words)} took over {limit:g} s") from error
    if ran.returncode != 0:
        raise DemoError(f"deodar {_shown(words)} ended with {ran.returncode}: {ran.stderr.strip()}")
    return ran.stdout


def _shown(words: Sequence[object]) -> str:
    """Return the command's first words; what follows may be a secret."""
    return " ".join(map(str, words[:2]))


def attempts(limit: float, pause: float = 0.1) -> Iterator[int]:
    """Count up until `limit` seconds have passed, at least once, with `pause` seconds between."""
    deadline = time.monotonic() + limit
    number = 0
    while number == 0 or time.monotonic() < deadline:
        yield number
        number += 1
        time.sleep(pause)


def free_port(wanted: int) -> int:
    """Return `wanted` if it can be listened on, else a port that the system says is free."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return cast("int", probe.getsockname()[1])
    raise DemoError(f"no port is free on {HOST}")
