"""External systems with filters that fetch all the time, in a process beside the server's.

``python -m bench.followers URL FOLDER``: each file ``ID.pem`` of the folder has the certificate and
key of an accepted system. It prints a line of JSON when all of them have reached the end of the
log, and another one with what they got after a line on its input. They look no further into an
answer than they must, so that what is measured is the server.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from bench.report import cpu_seconds
from deodar.tls.certificates import load_pair
from deodar.tls.contexts import unverified_client

PAGE = 10_000
FILTERS = (
    "EventType == 'process'",
    "EventType == 'connection'",
    "EventType == 'filechange'",
    "EventType == 'threatdetect'",
    "EventType == 'process' OR EventType == 'connection'",
    "FileName == 'bash'",
    "FileName == 'curl' AND EventType == 'process'",
    "FileFullName == '/usr/bin/*'",
    "UserName == 'root'",
    "UserName != 'root'",
    "HostName == 'web-*'",
    "RemotePort == 443",
    "RemotePort > 1024 AND EventType == 'connection'",
    "RemoteIp == '10.*'",
    "SystemPid < 1000",
    "Md5 != ''",
    "Sha256 == '0*'",
    "ExitCode != 0",
    "FilePath == '/usr/*'",
    "EventType == 'process' OR EventType == 'windowsevent'",
)
_EACH = b'"ReceivedTimestamp":'
"""Stands once in an event: the server writes it."""
_TOKEN = re.compile(rb'"continuationToken":"([^"]+)"\}\Z')


class Followers:
    """The process with the systems, as the benchmark sees it."""

    def __init__(self, url: str, folder: Path) -> None:
        """Start it."""
        command = [sys.executable, "-m", "bench.followers", url, str(folder)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def cpu(self) -> float:
        """Seconds of processor time that it has used so far."""
        return cpu_seconds(self._process.pid)

    def caught_up(self) -> float:
        """Wait until all of them have reached the end; returns how many seconds that took."""
        return float(self._line()["seconds"])

    def end(self) -> int:
        """Stop them; returns how many events they got."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        got = int(self._line()["events"])
        self._process.wait(60)
        return got

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the followers' process ended with {self._process.wait(60)}")
        told: dict[str, Any] = json.loads(line)
        return told


class _Follower(threading.Thread):
    """One system."""

    def __init__(self, url: str, pem: Path, text: str, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        context = unverified_client(load_pair(pem.read_bytes()))
        self._address = f"{url}/kata/events_api/v1/{pem.stem}/events"
        self._client = httpx.Client(verify=context, timeout=600, trust_env=False)
        self._filter = text
        self._ended = stop
        self.reached = threading.Event()
        self.events = 0

    def run(self) -> None:
        asked = {"filter": self._filter, "max_events": str(PAGE), "max_timeout": "PT2S"}
        while not self._ended.is_set():
            body = self._client.get(self._address, params=asked).raise_for_status().content
            found = body.count(_EACH)
            self.events += found
            if found < PAGE:
                self.reached.set()
            token = _TOKEN.search(body, len(body) - 500 if len(body) > 500 else 0)
            assert token is not None
            asked["continuation_token"] = token[1].decode()
            asked.pop("filter", None)


def main(url: str, folder: Path) -> None:
    """Do what the module's text says."""
    stop, began = threading.Event(), time.monotonic()
    pems = sorted(folder.glob("*.pem"))
    systems = [_Follower(url, pem, FILTERS[n % len(FILTERS)], stop) for n, pem in enumerate(pems)]
    for system in systems:
        system.start()
    for system in systems:
        while not system.reached.wait(1):
            assert system.is_alive(), "an external system ended; its error stands above"
    _print({"seconds": time.monotonic() - began})
    sys.stdin.readline()
    stop.set()
    for system in systems:
        system.join(60)
    _print({"events": sum(system.events for system in systems)})


def _print(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
