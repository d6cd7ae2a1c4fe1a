from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import msgspec
import pytest
from tests.conformance.connector import page
from tests.conformance.connector.server import Script, TroubleServer
from tests.siem.conftest import Core, collector_process, core  # noqa: F401  # fixtures

from deodar.columnar.dead_letters import DeadLetterStore, StoredLetter
from deodar.kit import settings as files
from deodar.kit.directory import StateDirectory
from deodar.siem.collector import board as boards
from deodar.siem.collector.home import settings_of
from deodar.siem.collector.service import run_collector


def change(home: StateDirectory, **changes: object) -> None:
    """Change settings of a collector's connector, as an administrator does in the file."""
    settings = settings_of(home)
    connector = msgspec.structs.replace(settings.connector, **changes)
    changed = msgspec.structs.replace(settings, connector=connector)
    home.write("collector.toml", files.dump(changed).encode())


@dataclass
class Station:
    """A running collector, the server that it asks, the core behind it."""

    home: StateDirectory
    server: TroubleServer
    core: Core

    @property
    def name(self) -> str:
        return self.home.path.name

    async def report(self) -> boards.Report:
        return await asyncio.to_thread(boards.ask, self.home)

    async def until(
        self, condition: Callable[[boards.Report], object], limit: float = 60.0
    ) -> boards.Report:
        """Return the first report that fulfils a condition."""
        deadline = asyncio.get_running_loop().time() + limit
        while not condition(report := await self.report()):
            assert asyncio.get_running_loop().time() < deadline, report
            await asyncio.sleep(0.05)
        return report

    async def said(self, text: str, limit: float = 60.0) -> boards.Report:
        """Return the report once its status says `text`."""
        return await self.until(lambda report: text in report.status.reason, limit)

    async def stored(self, count: int, limit: float = 60.0) -> list[dict]:
        """Return this collector's events once there are so many in the store, and no more."""
        deadline = asyncio.get_running_loop().time() + limit
        while len(found := await asyncio.to_thread(self.events)) < count:
            assert asyncio.get_running_loop().time() < deadline, await self.report()
            await asyncio.sleep(0.05)
        await self.until(lambda report: not report.waiting)
        assert len(await asyncio.to_thread(self.events)) == count
        return found

    def events(self) -> list[dict]:
        sql = f"SELECT * FROM events WHERE ServiceName = '{self.name}'"
        return self.core.search(sql, limit=10_000)

    def letters(self) -> list[StoredLetter]:
        return list(DeadLetterStore(self.home.path / "dead-letters").list())


@contextlib.asynccontextmanager
async def at_work(home: StateDirectory) -> AsyncIterator[None]:
    """Run a collector until the end of the block."""
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(
        run_collector(home, settings_of(home), stop=stop, on_ready=ready.set)
    )
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    try:
        assert ready.is_set(), task
        yield
    finally:
        stop.set()
        waiting.cancel()
        await asyncio.wait_for(task, 30)


@pytest.fixture
def server() -> Iterator[TroubleServer]:
    with TroubleServer() as made:
        yield made


@pytest.fixture
def idle(core: Core, server: TroubleServer) -> Callable[..., Station]:  # noqa: F811
    """Return a function that makes a collector for the server, which does not run yet."""

    def made(script: Script | None = None, **changes: object) -> Station:
        server.asked.clear()
        if script is not None:
            server.script = script
        home = core.collector(server.url, pins=(server.pin,))
        change(home, **{"client_timeout": 10.0, **changes})
        return Station(home, server, core)

    return made


@pytest.fixture
def station(
    idle: Callable[..., Station],
) -> Callable[..., contextlib.AbstractAsyncContextManager[Station]]:
    """Return a function that makes a collector for the server and runs it for a block."""

    @contextlib.asynccontextmanager
    async def running(script: Script | None = None, **changes: object) -> AsyncIterator[Station]:
        made = idle(script, **changes)
        async with at_work(made.home):
            yield made

    return running


@pytest.fixture
def saw_row(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that notes what was seen of the test's rows, for the page in the docs."""
    rows = [mark.args for mark in request.node.iter_markers("connector_row")]
    assert rows

    def note(text: str) -> None:
        for section, row in rows:
            entry = (page.key(section, row), text)
            request.node.user_properties.append(("row", entry))

    return note
