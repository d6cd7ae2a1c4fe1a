"""A running collector: fetch, journal, prepare, deliver, acknowledge, each in its own task.

The next answer is fetched while the former one is normalized and the one before that is stored.
The order is kept; what is between journal and store is at most a few answers in memory. Storage
and destinations have a lane each out of the journal.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from deodar.columnar.dead_letters import DeadLetter, DeadLetterStore
from deodar.kit.errors import StateError
from deodar.kit.journal import Journal
from deodar.kit.logging import logger
from deodar.kit.serve import Endpoint, serve
from deodar.siem.collector import board as boards
from deodar.siem.collector.core_client import CoreClient
from deodar.siem.collector.delivery import Delivery
from deodar.siem.collector.desk import Desk
from deodar.siem.collector.intake import Intake
from deodar.siem.collector.lanes import open_lanes
from deodar.siem.connectors import registry
from deodar.tls.certificates import load_pair
from deodar.tls.contexts import pinned_client

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from starlette.requests import Request

    from deodar.kit.directory import StateDirectory
    from deodar.siem.collector.lanes import Lanes
    from deodar.siem.connectors.base import Connector
    from deodar.siem.settings import CollectorSettings

STATUS_SECONDS = 2.0
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
        desk = Desk(journal, source, lambda text: _hinder(board, text))
        letters = DeadLetterStore(home.path / "dead-letters", settings.dead_letter_bytes)
        _announce(journal, board, letters)
        if desk.token is None and registry.kind_of(settings.connector).has_state:
            _log.info("an initial request will be made: history comes first", why=desk.why_initial)
        connector = registry.open_connector(
            settings.connector, home.path, Intake(desk, letters, board)
        )
        core = CoreClient(settings.core.url, _core_context(home, settings))
        delivery = Delivery(core, letters, board)
        async with core, open_lanes(home, settings, desk, board, letters, delivery) as lanes:
            collector = Collector(home, connector, desk, board, lanes)
            await collector.run(stop, on_ready)


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


class Collector:
    """The tasks of one collector."""

    def __init__(
        self,
        home: StateDirectory,
        connector: Connector,
        desk: Desk,
        board: boards.Board,
        lanes: Lanes,
    ) -> None:
        self._home = home
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
            await serve([endpoint, *self._connector.endpoints()], stop=stop, on_ready=ready)
            for task in tasks:
                task.cancel()
        self._save_status()

    async def reset_token(self) -> None:
        """Begin the stream anew: an initial request follows. Durable when this returns."""
        _log.warning("the token is reset; history comes again")
        await self._desk.reset()
        self._connector.begin_anew()

    def report(self) -> boards.Report:
        """Return the collector's present state."""
        self._board.waiting = self._lanes.waiting
        self._board.destinations = self._lanes.reports()
        self._board.pipeline = self._lanes.pipeline()
        self._board.journal_bytes = self._desk.bytes_used
        return self._board.report()

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

    async def reset(_request: Request) -> Response:
        await collector.reset_token()
        return PlainTextResponse("reset")

    async def metrics(_request: Request) -> Response:
        text = generate_latest(boards.metrics(collector.report()))
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/status", status),
            Route("/metrics", metrics),
            Route("/reset-token", reset, methods=["POST"]),
        ]
    )


def reset_stopped(home: StateDirectory, settings: CollectorSettings) -> None:
    """Reset the token of a collector that does not run.

    Raises StateError when it does run, JournalError when the journal refuses.
    """
    source = registry.identity(settings.connector, home.path)
    with home.lock(), _journal(home, settings) as journal:
        asyncio.run(Desk(journal, source, lambda _text: None).reset())
