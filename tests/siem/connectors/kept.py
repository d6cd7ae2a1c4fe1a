"""A sink for tests of connectors: keeps what is handed over, as the journal would."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

from deodar.siem.connectors.base import Connector, Handover
from deodar.siem.connectors.framing import divide
from deodar.siem.connectors.status import Status


class KeptSink:
    """Like the desk it takes no handover whose state is not the next one."""

    def __init__(self, state: str | None = None) -> None:
        self.state = state
        self.handovers: list[Handover] = []
        self.aside: list[tuple[str, str, bytes]] = []
        self.counts: dict[str, int] = {}
        self.statuses: list[Status] = []
        self.hindrance = ""
        self.open = asyncio.Event()
        self.open.set()
        self._lock = asyncio.Lock()

    async def put(self, handover: Handover) -> None:
        async with self._lock:
            await self.open.wait()
            assert handover.before == self.state, "the chain of states is broken"
            self.state = handover.after
            self.handovers.append(handover)

    async def keep_aside(self, origin: str, reason: str, body: bytes, framing: str = "") -> None:
        self.aside.append((origin, reason, body))

    def changed(self, status: Status) -> None:
        self.statuses.append(status)

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number

    @property
    def colour(self) -> str:
        return self.statuses[-1].colour if self.statuses else ""

    def arrived(self) -> list[tuple[str, bytes]]:
        """Source and text of every event, in their order."""
        found = []
        for one in self.handovers:
            if one.has_events:
                events, broken = divide(one.framing, one.body, one.encoding)
                assert not broken
                found += zip(events.sources, events.events, strict=True)
        return found

    def events(self) -> list[bytes]:
        return [event for _, event in self.arrived()]


@contextlib.asynccontextmanager
async def running(connector: Connector, state: str | None = None) -> AsyncIterator[asyncio.Task]:
    """Run a connector; at the end it is stopped as the collector stops it."""
    task = asyncio.create_task(connector.run(state))
    try:
        yield task
    finally:
        if task.done() and not task.cancelled():
            task.result()
        task.cancel()
        await asyncio.wait({task})


async def until(condition: Callable[[], object], limit: float = 20.0) -> None:
    """Wait for something that happens at the other end of a socket, or in a file."""
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
