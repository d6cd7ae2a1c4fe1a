from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.edr.postgres import PostgreSQL, programs

from deodar.edr import installation as installations
from deodar.edr import server as servers
from deodar.edr.database import Database, sqlite_url
from deodar.edr.enrolment import Endpoints
from deodar.edr.external_systems import Register
from deodar.edr.local import LocalServer
from deodar.edr.settings import EdrSettings
from deodar.events.builders import EventBuilder
from deodar.kit.children import Child
from deodar.tls import certificates, contexts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from deodar.store.engine import Engine
    from deodar.tls.certificates import Pair

LIMIT = 20.0


@functools.lru_cache(maxsize=16)
def self_made(number: int = 0) -> Pair:
    """Return one of a few self-signed identities; making an RSA key takes long."""
    return certificates.self_signed(f"external-{number}")


ON_POSTGRESQL = {
    "test_audit_chain", "test_contacts", "test_control_data", "test_enrolment",
    "test_external_systems", "test_filters", "test_fleet", "test_groups", "test_live_settings",
    "test_lockout", "test_policies", "test_delivery",
}  # fmt: skip
"""Modules whose tests always run on both databases; with ``--every-database`` all do that can."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what would run once more on PostgreSQL without a need."""
    every = config.getoption("--every-database")
    kept, left = [], []
    for item in items:
        where = getattr(item, "callspec", None)
        twice = where is not None and where.params.get("database") == "postgresql"
        wanted = every or item.path.stem in ON_POSTGRESQL
        only = item.get_closest_marker("sqlite") is not None
        (left if twice and (only or not wanted) else kept).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """Return a PostgreSQL server; the test is skipped where there is none to run."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed (tools/debian-packages test, as root)")
    server = PostgreSQL()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Return control data without any rows, in each of the two databases."""
    if request.param == "sqlite":
        url = sqlite_url(tmp_path / "edr.db")
    else:
        url = request.getfixturevalue("postgresql").made()
    with contextlib.closing(Database(url)) as opened:
        yield opened


@pytest.fixture
def engine(deodar_store_engine: Engine) -> Engine:
    """Return the process's one store, without what the test before left in it."""
    for table in ("edr_events", "edr_epoch"):
        deodar_store_engine.command(f"TRUNCATE TABLE IF EXISTS {table}")
    return deodar_store_engine


def make_older(engine: Engine, us: int) -> None:
    """Let all events in the log have been received that much earlier."""
    engine.command("CREATE TABLE older AS edr_events")
    engine.command(
        "INSERT INTO older SELECT * REPLACE (received - {us:Int64} AS received) FROM edr_events",
        {"us": us},
    )
    engine.command("TRUNCATE TABLE edr_events")
    engine.command("INSERT INTO edr_events SELECT * FROM older")
    engine.command("DROP TABLE older")


async def until(holds: Callable[[], Awaitable[Any]]) -> None:
    """Wait until a condition holds; fails when it does not within the limit."""
    for _ in range(int(LIMIT / 0.05)):
        if await holds():
            return
        await asyncio.sleep(0.05)
    pytest.fail("it did not come to hold")


class System:
    """An external system: an id, a certificate, and an HTTP client that shows it."""

    def __init__(self, server: Server, name: str, pair: Pair | None, ip: str) -> None:
        self.server = server
        self.id = name
        context = contexts.pinned_client([server.installation.pin], pair)
        transport = httpx.AsyncHTTPTransport(verify=context, local_address=ip)
        self.client = httpx.AsyncClient(
            transport=transport, base_url=server.url, timeout=LIMIT, trust_env=False
        )

    async def get(self, **parameters: Any) -> httpx.Response:
        return await self.client.get(
            f"/kata/events_api/v1/{self.id}/events", params={"max_timeout": "PT0S", **parameters}
        )

    async def accepted(self) -> System:
        assert (await self.get()).status_code == 401
        await asyncio.to_thread(self.server.register.accept, self.id)
        return self


class Server:
    """A real server over real HTTPS, in this event loop or in a process of its own."""

    def __init__(self, installation: installations.Installation, url: str) -> None:
        self.installation = installation
        self.url = url
        self.stop = asyncio.Event()
        self.database = installation.database()
        self.register = Register(self.database, installation.settings.external_systems)
        self.endpoints = Endpoints(self.database)
        self.local = LocalServer(installation.directory.socket)
        self._systems: list[System] = []

    def system(self, name: str = "siem-1", number: int | None = 0, ip: str = "127.0.0.1") -> System:
        pair = None if number is None else self_made(number)
        made = System(self, name, pair, ip)
        self._systems.append(made)
        return made

    def client(self, pair: Pair | None) -> httpx.AsyncClient:
        made = System(self, "", pair, "127.0.0.1")
        self._systems.append(made)
        return made.client

    async def agent(self) -> tuple[str, Pair]:
        """Enrol an agent; returns its id and its certificate with key."""
        invited = self.endpoints.invite(self.url, self.installation.pin, 60)
        secret = read_token(invited.token)["secret"]
        request, key = certificates.make_request("x")
        answer = await self.client(None).post(
            "/agent/v1/enroll",
            json={"token": secret, "request": request.decode(), "host": {"name": "h"}},
        )
        assert answer.status_code == 200, answer.text
        told = answer.json()
        return told["agent_id"], certificates.Pair(told["certificate"].encode(), key)

    async def put(self, events: list[dict[str, Any]]) -> None:
        """Bring events into the log through the control socket."""
        body = "\n".join(json.dumps(event) for event in events).encode()
        await self.put_raw(body)

    async def put_raw(self, body: bytes) -> dict[str, Any]:
        self._packet = getattr(self, "_packet", 0) + 1
        transport = httpx.AsyncHTTPTransport(uds=str(self.installation.directory.socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            answer = await client.post(
                "/import",
                params={"source": "test", "packet": self._packet, "first_line": 1},
                content=body,
                timeout=LIMIT,
            )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def close(self) -> None:
        for system in self._systems:
            await system.client.aclose()
        self.database.close()


def read_token(text: str) -> dict[str, str]:
    import base64

    return json.loads(base64.urlsafe_b64decode(text.removeprefix("deodar-enroll:v1:")))


@contextlib.asynccontextmanager
async def running(
    installation: installations.Installation, engine: Engine | None
) -> AsyncIterator[Server]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(servers.run(installation, ready.set_result, stop, engine))
    await asyncio.wait((task, ready), timeout=LIMIT, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    server = Server(installation, await ready)
    server.stop = stop
    try:
        yield server
    finally:
        await server.close()
        stop.set()
        await asyncio.wait_for(task, LIMIT)


@pytest.fixture
def settings() -> EdrSettings:
    """Settings of a test's server; a test module may replace this fixture."""
    return EdrSettings(host="127.0.0.1", port=0, names=("127.0.0.1",))


@pytest.fixture
def installation(tmp_path: Path, settings: EdrSettings) -> installations.Installation:
    return installations.init(tmp_path / "edr", settings)


@pytest.fixture
async def server(installation: installations.Installation, engine: Engine) -> AsyncIterator[Server]:
    async with running(installation, engine) as started:
        yield started


@pytest.fixture
def events() -> EventBuilder:
    return EventBuilder(7)


def deodar(*words: object) -> str:
    command = [sys.executable, "-m", "deodar", "edr", *map(str, words)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    return done.stdout.decode()


class Process:
    """A server in a process of its own."""

    def __init__(self, installation: installations.Installation, logs: Path) -> None:
        self.installation = installation
        self._logs = logs
        words = ["edr", "run", "--dir", str(installation.directory.path)]
        self.child = Child("edr", [sys.executable, "-m", "deodar", *words], logs)

    @property
    def log(self) -> str:
        """Return what the server has logged so far."""
        return (self._logs / "edr.log").read_text()

    def start(self) -> str:
        return str(self.child.start().ready(60)["url"])


@pytest.fixture
def process(installation: installations.Installation, tmp_path: Path) -> Iterator[Process]:
    made = Process(installation, tmp_path)
    yield made
    if made.child.alive:
        made.child.kill()


@pytest.fixture(scope="module")
def shared_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Return a running server in a process of its own, the same for all tests of a module."""
    folder = tmp_path_factory.mktemp("shared")
    settings = EdrSettings(host="127.0.0.1", port=0, names=("127.0.0.1",))
    made = Process(installations.init(folder / "edr", settings), folder)
    try:
        made.start()
        yield made
        assert made.child.stop() == 0
    finally:
        if made.child.alive:
            made.child.kill()


@pytest.fixture
async def remote(shared_process: Process) -> AsyncIterator[Server]:
    """Return that server as clients and administrators see it."""
    installation = shared_process.installation
    server = Server(installation, installation.url)
    yield server
    await server.close()


def enrolled(installation: installations.Installation, token: str, url: str) -> Pair:
    """Enrol an agent at a running server; returns its certificate and key."""
    request, key = certificates.make_request("x")
    asked = {"token": read_token(token)["secret"], "request": request.decode()}
    context = contexts.pinned_client([installation.pin])
    answer = httpx.post(f"{url}/agent/v1/enroll", json=asked, verify=context, timeout=20)
    return certificates.Pair(answer.json()["certificate"].encode(), key)
