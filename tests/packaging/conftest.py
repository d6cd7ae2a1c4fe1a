from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.machines import debian
from tests.packaging.machine import Machine

from deodar.demo.stack import Ports, Stack, attempts, deodar
from deodar.tls.certificates import self_signed
from deodar.tls.contexts import unverified_client

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
STATE = "/var/lib/deodar-agent"


class Server:
    """An EDR server on this host, and what an external system has got from it so far."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.url = stack.start_edr()["url"]
        self.events: list[dict[str, Any]] = []
        self._client = httpx.Client(verify=unverified_client(self_signed("test")), timeout=60)
        self._identity = str(uuid.uuid4())
        self._query = {"max_timeout": "PT0S", "max_events": "10000"}
        assert self._get().status_code == 401
        deodar("edr", "external-systems", "accept", self._identity, "--dir", stack.edr)

    def token(self) -> str:
        return json.loads(deodar("edr", "enroll", "--json", "--dir", self.stack.edr))["token"]

    def find(self, marker: str, limit: float = 30, **fields: str) -> dict[str, Any]:
        """Wait for an event of a program that had `marker` among its arguments."""
        for _ in attempts(limit):
            for event in self.events:
                known = marker in event.get("StartupParameters", "")
                if known and fields.items() <= event.items():
                    return event
            self._fetch()
        raise AssertionError(f"no event of {marker} among {len(self.events)}")

    def count(self, marker: str) -> int:
        """How often `/bin/true` was started with `marker`, among what was fetched so far."""
        kind = {"EventType": "process", "FileName": "true"}.items()
        found = [event for event in self.events if kind <= event.items()]
        return sum(marker in event["StartupParameters"] for event in found)

    def stop(self) -> None:
        self.stack.children["edr"].stop()

    def start(self) -> None:
        self.stack.restart("edr")

    def _fetch(self) -> None:
        answer = self._get().raise_for_status().json()
        self.events += answer.get("events") or []
        if answer.get("continuationToken"):
            self._query["continuation_token"] = answer["continuationToken"]

    def _get(self) -> httpx.Response:
        address = f"{self.url}/kata/events_api/v1/{self._identity}/events"
        return self._client.get(address, params=self._query)


def build(out: Path, *options: str) -> Path:
    """Build the agent's package from this tree, quickly packed; returns its path."""
    command = [sys.executable, str(ROOT / "packaging" / "build_deb.py"), "agent"]
    command += ["--out", str(out), "--compress", "none", *options]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return Path(ran.stdout.strip())


@pytest.fixture(scope="session")
def package(tmp_path_factory) -> Path:
    """Return the agent's package, built once."""
    if lacking := debian.missing("dpkg-deb", "/usr/bin/python3.11"):
        pytest.skip(f"needs Debian 12: {lacking}")
    return build(tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="session")
def newer(package, tmp_path_factory) -> Path:
    """Return a package of a later version."""
    return build(tmp_path_factory.mktemp("newer"), "--version", "0.9.9-1")


@pytest.fixture(scope="session")
def debian_root() -> Path:
    """Return the tar file of a Debian 12 with systemd."""
    if lacking := debian.missing("debootstrap", "tar"):
        pytest.skip(f"needs {lacking}")
    try:
        return debian.debian_root()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no Debian root can be had here: {error}")


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    stack = Stack(tmp_path_factory.mktemp("server"), Ports(edr=0, core=0))
    yield Server(stack)
    stack.close()


@pytest.fixture(scope="session")
def booted(debian_root, tmp_path_factory) -> Iterator[Machine]:
    """Return a booted Debian 12, which tests share one after the other."""
    yield from _boot(debian_root, tmp_path_factory.mktemp("shared") / "machine")


@pytest.fixture
def machine(booted) -> Iterator[Machine]:
    """Return a booted Debian 12 without the agent; what a test installs is purged after it."""
    yield booted
    booted.run("dpkg", "-P", "deodar-agent", check=False)


@pytest.fixture
def own_machine(debian_root, tmp_path) -> Iterator[Machine]:
    """Return a booted Debian 12 that a test may change as it likes."""
    yield from _boot(debian_root, tmp_path / "machine")


def _boot(root: Path, folder: Path) -> Iterator[Machine]:
    if lacking := debian.missing("systemd-nspawn", "nsenter"):
        pytest.skip(f"needs {lacking}")
    made = Machine(folder)
    debian.unpack(root, folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
