"""Several EDR servers behind one name, with all that they share, as processes.

PostgreSQL is Debian's, NATS a cluster of three, the store an embedded engine behind its HTTP front
(see `tests.edr.nodes.store_process`). Agents and readers go to any node, as a load balancer would
send them: to the next one whenever one does not answer.
"""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
import uuid
from typing import TYPE_CHECKING

import httpx
import msgspec
import zstandard
from tests.e2e.edr_process import SETTINGS, EdrProcess
from tests.edr.nodes.nats_cluster import NatsCluster
from tests.edr.nodes.store_process import StoreProcess
from tests.edr.postgres import PostgreSQL

from deodar.demo.stack import attempts
from deodar.edr import installation as installations
from deodar.edr.external_systems import Register
from deodar.edr.nodes import bundle as bundles
from deodar.edr.settings import Stream
from deodar.tls import certificates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PATIENCE = 60.0


class Nodes:
    """The nodes `one`, `two` and so on, and what they share."""

    def __init__(self, folder: Path, count: int = 2) -> None:
        for name in ("nats", "store"):
            (folder / name).mkdir()
        self.nats = NatsCluster(folder / "nats").start()
        self.store = StoreProcess(folder / "store").start()
        self.postgresql = PostgreSQL()
        stream = Stream(urls=self.nats.urls, max_bytes=256 << 20, timeout=3.0)
        settings = msgspec.structs.replace(
            SETTINGS,
            store=self.store.url,
            database=self.postgresql.empty(),
            ingest=msgspec.structs.replace(SETTINGS.ingest, stream=stream),
        )
        self.folder = folder
        self.all: list[EdrProcess] = []
        for name in ("one", "two", "three")[:count]:
            (folder / f"{name}-logs").mkdir()
            if self.all:
                bundle = bundles.make(self.all[0].installation, name)
                bundles.unpack(bundle, folder / name)
            self.all.append(EdrProcess(folder / name, folder / f"{name}-logs", settings))
        (folder / "one" / "node.name").write_text("one")
        try:
            for node in self.all:
                node.start()
            self.writer()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for node in self.all:
            if node.child.alive:
                node.child.kill()
        self.store.stop()
        self.nats.stop()
        self.postgresql.stop()

    def status(self, node: EdrProcess) -> dict[str, object]:
        from deodar.edr.local import LocalServer

        return json.loads(LocalServer(node.installation.directory.socket).get("/status"))

    def writer(self) -> EdrProcess:
        """Return the node that writes, as soon as there is one."""
        from deodar.edr.errors import ControlError

        for _ in attempts(PATIENCE, pause=0.1):
            for node in self.all:
                with contextlib.suppress(ControlError):
                    if node.child.alive and self.status(node)["term"]:
                        return node
        raise AssertionError(f"nobody writes: {[node.child.last_words() for node in self.all]}")

    def reader(self) -> NodesReader:
        return NodesReader(self)

    def agent(self) -> NodesAgent:
        return NodesAgent(self)


class NodesAgent:
    """Sends packets in order to any node until each is acknowledged; sometimes several as one."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._agent = nodes.all[0].agent()
        self._random = random.Random(self._agent.spool)
        self.ids: list[str] = []
        """Of the acknowledged events, in their order."""
        self.repeats = 0
        self._next = 1
        self._clients: dict[str, httpx.Client] = {}

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def send(self, events: int = 10) -> None:
        """Send one to three new packets, as one after a first failure, until all are taken."""
        first = self._next
        last = first + self._random.choice((0, 0, 0, 1, 2))
        made = {n: self._agent.packet(n, events) for n in range(first, last + 1)}
        self._next = last + 1
        node = self._random.randrange(len(self._nodes.all))
        at, together = first, False
        for _ in attempts(PATIENCE, pause=0.0):
            upto = last if together else at
            answer = self._post(node % len(self._nodes.all), at, upto)
            if answer is not None and answer.status_code == 200:
                at = upto + 1
            elif answer is not None and answer.status_code == 409:
                at = int(answer.json()["committed"]) + 1
            else:
                self.repeats += 1
                node, together = node + 1, True
                time.sleep(0.05)
            if at > last:
                for number in made:
                    self.ids += [json.loads(line)["Id"]
                                 for line in self._agent.bodies[number].splitlines()]  # fmt: skip
                return
        raise AssertionError(f"packet {at} was never taken")

    def _post(self, node: int, first: int, last: int) -> httpx.Response | None:
        bodies = [self._agent.bodies[number] for number in range(first, last + 1)]
        headers = {
            "Deodar-Spool": self._agent.spool,
            "Deodar-Packet": str(last),
            "Deodar-Packet-First": str(first),
            "Content-Encoding": "zstd",
        }
        try:
            return self._client(node).post(
                "/agent/v1/packets", content=zstandard.compress(b"\n".join(bodies)), headers=headers
            )
        except (httpx.HTTPError, OSError):
            for client in self._clients.values():
                client.close()
            self._clients.clear()
            return None

    def _client(self, node: int) -> httpx.Client:
        url = self._nodes.all[node].url
        if url not in self._clients:
            self._clients[url] = self._nodes.all[node].client(self._agent._pair)
            self._clients[url].timeout = httpx.Timeout(6.0)
        return self._clients[url]


class NodesReader:
    """An external system that goes on with its token at whichever node answers."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self.id = str(uuid.uuid4())
        self._pair = certificates.self_signed("reader")
        self.ids: list[str] = []
        self.token = ""
        assert self._get(0).status_code == 401
        first = nodes.all[0].installation
        with contextlib.closing(first.database()) as database:
            Register(database, first.settings.external_systems).accept(self.id)

    def read(self, node: int, wait: str = "PT0S") -> int:
        """Take what a node has now; returns how many events that were, -1 if it did not answer."""
        try:
            answer = self._get(node, max_timeout=wait, max_events="500")
        except (httpx.HTTPError, OSError):
            return -1
        if answer.status_code != 200:
            assert answer.status_code in {401, 429, 503}, answer.text
            return -1
        told = answer.json()
        self.token = told["continuationToken"]
        self.ids += [event["Id"] for event in told["events"]]
        return len(told["events"])

    def _get(self, node: int, **parameters: str) -> httpx.Response:
        if self.token:
            parameters["continuation_token"] = self.token
        path = f"/kata/events_api/v1/{self.id}/events"
        with self._nodes.all[node].client(self._pair) as client:
            return client.get(path, params={"max_timeout": "PT0S", **parameters})


@contextlib.contextmanager
def sending(agents: Sequence[NodesAgent]) -> Iterator[None]:
    """Let agents send while this lasts; raises what stopped one of them."""
    stop = threading.Event()
    problems: list[BaseException] = []

    def run(agent: NodesAgent) -> None:
        try:
            while not stop.is_set():
                agent.send()
        except BaseException as error:  # noqa: BLE001
            problems.append(error)

    threads = [threading.Thread(target=run, args=(agent,)) for agent in agents]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE + 10)
            assert not thread.is_alive()
    if problems:
        raise problems[0]


def accept_pending(folder: Path) -> None:
    """Accept the one collector that asks the server of a folder."""
    opened = installations.open_(folder)
    with contextlib.closing(opened.database()) as database:
        register = Register(database, opened.settings.external_systems)
        for _ in attempts(60):
            for one in register.list("pending"):
                register.accept(one.id)
                return
    raise AssertionError("no collector asked")
