"""A running collector: fetch, journal, prepare, deliver, acknowledge, each in its own task.

The next answer is fetched while the former one is normalized and the one before that is stored.
The order is kept; what is between journal and store is at most a few answers in memory. Storage
and destinations have a lane each out of the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from deodar.columnar.dead_letters import DeadLetter, DeadLetterStore
from deodar.kit.errors import SettingsError, StateError
from deodar.kit.journal import Journal
from deodar.kit.logging import logger
from deodar.kit.serve import Endpoint, serve
from deodar.siem.collector import board as boards
from deodar.siem.collector.core_client import CoreClient
from deodar.siem.collector.delivery import Delivery
from deodar.siem.collector.desk import Desk
from deodar.siem.collector.intake import Intake
from deodar.siem.collector.lanes import open_lanes
from deodar.siem.collector.metrics import metrics_of
from deodar.siem.collector.replay import Replayed, Wanted, replay
from deodar.siem.collector.streams import Streams
from deodar.siem.connectors import registry
from deodar.siem.connectors.start import Start
from deodar.siem.metrics_port import metrics_endpoints, metrics_route
from deodar.tls.certificates import load_pair
from deodar.tls.contexts import pinned_client

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from prometheus_client import CollectorRegistry
    from starlette.requests import Request

    from deodar.kit.directory import StateDirectory
    from deodar.siem.collector.lanes import Lanes
    from deodar.siem.collector.ledger import BatchAccount
    from deodar.siem.connectors.base import Connector
    from deodar.siem.settings import CollectorSettings

STATUS_SECONDS = 2.0
SHOWN_BATCHES = 20
_log = logger("siem.collector")


async def run_collector(
    home: StateDirectory,
    settings: CollectorSettings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Run a collector until `stop` is set; `on_ready` is called once it is at work.

    Raises SettingsError, StateError, TlsError or JournalUnavailable when it cannot begin.
    """
    source = registry.identity(settings.connector, home.path)
    with home.lock(), _journal(home, settings) as journal:
        board = boards.Board(settings.name, os.getpid())
        desk = Desk(journal, source, lambda text: _hinder(board, text), Streams(home))
        letters = DeadLetterStore(home.path / "dead-letters", settings.dead_letter_bytes)
        _announce(journal, board, letters)
        if desk.token is None and registry.kind_of(settings.connector).has_state:
            _log.info("an initial request will be made: history comes first", why=desk.why_initial)
            await _begin(desk, settings)
        connector = registry.open_connector(
            settings.connector, home.path, Intake(desk, letters, board)
        )
        core = CoreClient(settings.core.url, _core_context(home, settings))
        delivery = Delivery(core, letters, board)
        async with core, open_lanes(home, settings, desk, board, letters, delivery) as lanes:
            collector = Collector(home, settings, connector, desk, board, letters, lanes)
            await collector.run(stop, on_ready)


async def _begin(desk: Desk, settings: CollectorSettings) -> None:
    """Note since when events of a new stream are wanted, so that a restart changes nothing."""
    since_us = settings.connector.since(time.time_ns() // 1000)
    if since_us and not desk.begun:
        await desk.reset(since_us)


def _journal(home: StateDirectory, settings: CollectorSettings) -> Journal:
    return Journal(home.path / "journal", max_bytes=settings.journal_bytes)


def _hinder(board: boards.Board, text: str) -> None:
    board.journal_hindrance = text
    if text:
        board.error(text)
        _log.warning("waiting", reason=text)


def _announce(journal: Journal, board: boards.Board, letters: DeadLetterStore) -> None:
    for damage in journal.damage:
        text = f"answers in the journal are damaged: {damage}"
        board.error(text)
        _log.error(text)
        letters.add([DeadLetter(text, "$", 0, b"", "journal")], f"damage-{journal.identity}")


def _core_context(home: StateDirectory, settings: CollectorSettings) -> ssl.SSLContext:
    pair = load_pair(home.read(settings.core.certificate))
    return pinned_client(home.read(settings.core.authority), pair)


class Reset(msgspec.Struct, frozen=True):
    """A reset as it comes over the control socket; `start` may be left to the settings."""

    start: str = ""


class Collector:
    """The tasks of one collector."""

    def __init__(
        self,
        home: StateDirectory,
        settings: CollectorSettings,
        connector: Connector,
        desk: Desk,
        board: boards.Board,
        letters: DeadLetterStore,
        lanes: Lanes,
    ) -> None:
        self._home = home
        self._settings = settings
        self._letters = letters
        self._connector = connector
        self._desk = desk
        self._board = board
        self._lanes = lanes

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None] | None) -> None:
        """Work until `stop` is set."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._connector.run(self._desk.token)),
                group.create_task(self._lanes.run()),
                group.create_task(self._keep_status()),
            ]
            ready = (lambda _bound: on_ready()) if on_ready else None
            endpoint = Endpoint(control_app(self), path=self._home.socket)
            settings = self._settings
            shown = metrics_endpoints(self.registry, settings.metrics_host, settings.metrics_port)
            endpoints = [endpoint, *self._connector.endpoints(), *shown]
            await serve(endpoints, stop=stop, on_ready=ready)
            for task in tasks:
                task.cancel()
        self._save_status()

    async def reset_token(self, start: str = "") -> None:
        """Begin the stream anew: an initial request follows. Durable when this returns.

        `start` says from when on events are wanted, "" leaves that to the settings. Raises
        SettingsError.
        """
        since_us = since(self._settings, start)
        _log.warning("the token is reset; history comes again", since_us=since_us)
        await self._desk.reset(since_us)
        self._connector.begin_anew()

    async def replay(self, wanted: Wanted) -> Replayed:
        """Send dead letters through the collector again; raises OSError when the disk refuses."""
        return await replay(self._letters, wanted, self._desk.again)

    def batches(self, count: int) -> list[BatchAccount]:
        """Return what became of the last batches, the newest first."""
        return self._board.ledger.last(count)

    def report(self) -> boards.Report:
        """Return the collector's present state."""
        self._board.waiting = self._lanes.waiting
        self._board.destinations = self._lanes.reports()
        self._board.pipeline = self._lanes.pipeline()
        self._board.journal_bytes = self._desk.bytes_used
        self._board.servers = self._connector.servers()
        letters = self._letters
        self._board.letters = boards.Letters(letters.count, letters.bytes_used, letters.dropped)
        return self._board.report()

    def registry(self) -> CollectorRegistry:
        """Return the present state as metrics."""
        return metrics_of(self.report())

    async def _keep_status(self) -> None:
        while True:
            self._save_status()
            await asyncio.sleep(STATUS_SECONDS)

    def _save_status(self) -> None:
        try:
            boards.save(self._home, self.report())
        except StateError as error:
            _log.warning("the status file cannot be written", reason=str(error))


def control_app(collector: Collector) -> Any:
    """Return the application behind a collector's control socket."""

    async def status(_request: Request) -> Response:
        return Response(msgspec.json.encode(collector.report()), media_type="application/json")

    async def reset(request: Request) -> Response:
        try:
            wanted = msgspec.json.decode(await request.body() or b"{}", type=Reset)
            await collector.reset_token(wanted.start)
        except (msgspec.MsgspecError, SettingsError) as error:
            return PlainTextResponse(str(error), 400)
        return PlainTextResponse("reset")

    async def again(request: Request) -> Response:
        try:
            wanted = msgspec.json.decode(await request.body(), type=Wanted)
            done = await collector.replay(wanted)
        except msgspec.MsgspecError as error:
            return PlainTextResponse(f"not understood: {error}", 400)
        except OSError as error:
            return PlainTextResponse(f"dead letters cannot be sent again: {error}", 500)
        return Response(msgspec.json.encode(done), media_type="application/json")

    async def batches(request: Request) -> Response:
        count = request.query_params.get("count", "")
        found = collector.batches(int(count) if count.isdigit() else SHOWN_BATCHES)
        return Response(msgspec.json.encode(found), media_type="application/json")

    return Starlette(
        routes=[
            Route("/status", status),
            metrics_route(collector.registry),
            Route("/batches", batches),
            Route("/reset-token", reset, methods=["POST"]),
            Route("/dead-letters/replay", again, methods=["POST"]),
        ]
    )


def since(settings: CollectorSettings, start: str) -> int:
    """Return from when on events are wanted when a stream begins now; raises SettingsError.

    `start` is a choice, or "" for that of the settings.
    """
    now_us = time.time_ns() // 1000
    return Start.read(start).since(now_us) if start else settings.connector.since(now_us)


def reset_stopped(home: StateDirectory, settings: CollectorSettings, start: str = "") -> None:
    """Reset the token of a collector that does not run.

    Raises StateError when it does run, JournalError when the journal refuses, SettingsError.
    """
    since_us = since(settings, start)
    with _desk(home, settings) as desk:
        asyncio.run(desk.reset(since_us))


def replay_stopped(home: StateDirectory, settings: CollectorSettings, wanted: Wanted) -> Replayed:
    """Put dead letters of a collector that does not run into its journal again.

    Raises as `reset_stopped` does, and OSError.
    """
    letters = DeadLetterStore(home.path / "dead-letters", settings.dead_letter_bytes)
    with _desk(home, settings) as desk:
        return asyncio.run(replay(letters, wanted, desk.again))


@contextlib.contextmanager
def _desk(home: StateDirectory, settings: CollectorSettings) -> Iterator[Desk]:
    source = registry.identity(settings.connector, home.path)
    with home.lock(), _journal(home, settings) as journal:
        yield Desk(journal, source, lambda _text: None, Streams(home))
