"""What the proofs run: an EDR server, a collector, the core, and three receivers beside it."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import nats
import zstandard
from nats.js.api import AckPolicy, ConsumerConfig

from bench.stand import chunks
from deodar.demo.errors import DemoError
from deodar.demo.stack import COLLECTOR, Ports, Stack, attempts, free_port
from deodar.edr.importer import import_file
from deodar.edr.local import LocalServer
from deodar.kit import settings as files
from deodar.kit.children import Child
from deodar.kit.directory import StateDirectory
from deodar.siem.collector import board as boards
from deodar.siem.settings import load_collector

if TYPE_CHECKING:
    from collections.abc import Iterator

SUBJECT = "proof.events"
STREAM = "PROOF"
NATS = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or "nats-server"


@dataclass
class Plant:
    """A `Stack` with receivers by HTTP, syslog and NATS JetStream; `close` ends them all.

    The EDR server gives at most `page` events in an answer; `changes` are of the collector's
    settings.
    """

    folder: Path
    page: int
    changes: dict[str, int] = field(default_factory=dict)
    max_body_bytes: int = 128 << 20
    stack: Stack = field(init=False)
    ports: dict[str, int] = field(default_factory=dict)
    fed: int = 0

    def __post_init__(self) -> None:
        self.stack = Stack(self.folder, Ports(0, 0))
        self.ports = {name: free_port(0) for name in ("http", "syslog", "nats")}

    @property
    def children(self) -> dict[str, Child]:
        """All processes by name."""
        return self.stack.children

    @property
    def collector(self) -> StateDirectory:
        """The collector's folder."""
        return StateDirectory(self.stack.siem / "collectors" / COLLECTOR)

    def start(self) -> None:
        """Start everything, and have the collector accepted."""
        url = self.stack.start_edr()["url"]
        self.stack.start_core(url)
        for kind in ("http", "syslog"):
            self._receiver(kind)
        self._nats()
        self._settings()
        self.stack.start_collector()
        self.stack.accept_collector(limit=120)

    def restart(self, name: str) -> None:
        """Start what was killed; returns once it can be used."""
        if name == "nats":
            self.children[name].start()
            asyncio.run(self._reachable())
        else:
            self.stack.restart(name)

    def feed(self, pieces: Iterator[bytes]) -> None:
        """Put the next piece of events into the EDR server's log."""
        piece = next(pieces)
        lines = io.BytesIO(piece)
        self.fed += piece.count(b"\n")
        asyncio.run(import_file(lines, LocalServer(self.stack.edr / "control.sock").send))

    def report(self) -> boards.Report:
        """Return the collector's own word of its state."""
        return boards.ask(self.collector)

    def stored(self, seconds: float = 30.0) -> int:
        """Return how many events are in the store; the core may just have been started."""
        for _ in attempts(seconds):
            try:
                (row,) = self.stack.search("SELECT count() AS events FROM events")
            except Exception as error:  # noqa: BLE001 - asked again; told when time is up
                told = error
            else:
                return int(row["events"])
        raise DemoError(f"the core does not answer: {told}")

    def counts(self) -> dict[str, int]:
        """Return rows of the store, with how many ids of either kind are in them."""
        (row,) = self.stack.search(
            "SELECT count() AS rows, uniqExact(ID) AS ids, uniqExact(ExternalID) AS events, "
            "uniqExact(BatchID) AS batches FROM events"
        )
        return {name: int(value) for name, value in row.items()}

    def pairs(self, kind: str) -> list[tuple[str, str]]:
        """Return (ID, BatchID) of all that a receiver took, in the order it came."""
        if kind == "nats":
            return asyncio.run(self._messages())
        text = (self.folder / kind).read_text("ascii")
        return [(line[0], line[1]) for line in map(str.split, text.splitlines()) if len(line) == 2]

    def wait(self, expected: int, limit: float) -> None:
        """Return once all events are stored and nothing waits for any destination."""
        for _ in attempts(limit, pause=0.5):
            if self.stored() >= expected and not any(
                one.waiting for one in self.report().destinations
            ):
                return
        told = {one.name: (one.waiting, one.reason) for one in self.report().destinations}
        raise DemoError(f"{self.stored()} of {expected} events after {limit:g} s; {told}")

    def close(self) -> None:
        """End every process."""
        self.stack.close()

    def _receiver(self, kind: str) -> None:
        words = [sys.executable, "-m", "prove.receiver", kind, str(self.ports[kind])]
        child = Child(kind, [*words, str(self.folder / kind)], self.folder / "logs")
        self.children[kind] = child
        child.start().ready()

    def _nats(self) -> None:
        words = [NATS, "-a", "127.0.0.1", "-p", str(self.ports["nats"]), "-js"]
        child = Child("nats", [*words, "-sd", str(self.folder / "js")], self.folder / "logs")
        self.children["nats"] = child.start()
        asyncio.run(self._reachable())

    async def _reachable(self) -> None:
        client = await self._client()
        for _ in range(100):
            try:
                await client.jetstream().add_stream(name=STREAM, subjects=[SUBJECT])
            except nats.errors.Error:
                await asyncio.sleep(0.1)
            else:
                break
        await client.close()

    async def _client(self) -> nats.NATS:
        deadline = time.monotonic() + 20
        while True:
            try:
                url = f"nats://127.0.0.1:{self.ports['nats']}"
                return await nats.connect(url, allow_reconnect=False, error_cb=_silent)
            except (OSError, nats.errors.Error):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)

    async def _messages(self) -> list[tuple[str, str]]:
        client = await self._client()
        found: list[tuple[str, str]] = []
        unasked = ConsumerConfig(ack_policy=AckPolicy.NONE)  # or it would end after a thousand
        consumer = await client.jetstream().pull_subscribe(SUBJECT, stream=STREAM, config=unasked)
        left = (await client.jetstream().stream_info(STREAM)).state.messages
        while left:
            messages = await consumer.fetch(min(left, 100), timeout=10)
            left -= len(messages)
            for message in messages:
                plain = zstandard.ZstdDecompressor().decompress(message.data)
                events = [json.loads(line) for line in plain.splitlines()]
                found += [(event["ID"], event["BatchID"]) for event in events]
        await client.close()
        return found

    def _settings(self) -> None:
        """Let the collector ask for small answers and send on to the receivers."""
        path = self.collector.path / "collector.toml"
        settings = load_collector(path)
        local = {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}
        destinations = [
            {"name": "http", "kind": "http", "urls": [f"http://{local['http']}/"]},
            {"name": "syslog", "kind": "syslog", "address": local["syslog"], "form": "json"},
            {"name": "nats", "kind": "nats-jetstream", "urls": [f"nats://{local['nats']}"],
             "subject": SUBJECT, "timeout": 5.0},
        ]  # fmt: skip
        connector = msgspec.structs.replace(
            settings.connector, max_events=self.page, max_body_bytes=self.max_body_bytes
        )
        changed = msgspec.structs.replace(
            settings, connector=connector, destinations=destinations, **self.changes
        )
        self.collector.write("collector.toml", files.dump(changed).encode())


async def _silent(_error: Exception) -> None:
    """Say nothing of a server that does not listen yet: it is asked again."""


def pieces(count: int, size: int) -> Iterator[bytes]:
    """Give events as NDJSON, `size` in a piece, `count` in all; no two have the same id."""
    return chunks(count, size)
