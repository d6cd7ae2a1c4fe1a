"""One running core for all tests of the SIEM; each test uses a collector or batches of its own."""

from __future__ import annotations

import json
import socket
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deodar.kit.children import Child
from deodar.kit.directory import StateDirectory
from deodar.siem import control, setup
from deodar.tls.certificates import load_pair
from deodar.tls.contexts import pinned_client

DEODAR = [sys.executable, "-m", "deodar"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@dataclass
class Core:
    """A core that runs as its own process."""

    home: StateDirectory
    child: Child
    url: str

    def search(self, sql: str, limit: int = 250) -> list[dict]:
        answer = control.call(self.home.socket, "POST", "/search", {"sql": sql, "limit": limit})
        return [json.loads(line) for line in answer.content.splitlines()]

    def collector(self, *urls: str, name: str = "", **source) -> StateDirectory:
        """Make a collector with a name of its own; returns its folder."""
        name = name or f"c-{uuid.uuid4().hex[:8]}"
        made = setup.add_collector(self.home, name, setup.Source(urls, **source))
        return StateDirectory(Path(made.folder))

    def client(self, collector: StateDirectory | None) -> httpx.Client:
        """An HTTP client with a collector's certificate, or without any."""
        authority = self.home.read("authority.pem")
        pair = load_pair(collector.read("core-client.pem")) if collector else None
        return httpx.Client(verify=pinned_client(authority, pair), base_url=self.url, timeout=30)


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    folder = tmp_path_factory.mktemp("siem")
    home = setup.init_siem(folder / "siem", "127.0.0.1", free_port(), "")
    child = Child("core", [*DEODAR, "siem", "run", "--dir", str(home.path)], folder).start()
    try:
        yield Core(home, child, child.ready(60)["url"])
    finally:
        child.stop()


@pytest.fixture
def collector_process(core: Core, tmp_path: Path) -> Iterator:
    """Start collectors as processes; those that still run are stopped at the end."""
    started: list[Child] = []

    def start(home: StateDirectory) -> Child:
        name = home.path.name
        words = ["siem", "collector", "run", name, "--dir", str(core.home.path), "--debug"]
        child = Child(f"{name}-{len(started)}", [*DEODAR, *words], tmp_path).start()
        started.append(child)
        child.ready(60)
        return child

    yield start
    for child in started:
        if child.alive:
            child.stop()
