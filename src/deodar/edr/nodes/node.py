"""One running server among several that share a log: its parts, opened in order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deodar.edr import writer_lock
from deodar.edr.errors import NodeProblem
from deodar.edr.log.schema import prepare
from deodar.edr.nodes.connection import Connection
from deodar.edr.nodes.feed import Desk
from deodar.edr.nodes.follower import SUBJECT, FollowedLog
from deodar.edr.nodes.metrics import NodeMetrics
from deodar.edr.nodes.position import Positions
from deodar.edr.nodes.publisher import Publisher
from deodar.edr.nodes.register import Presence, Register
from deodar.edr.nodes.writer import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from deodar.columnar.dead_letters import DeadLetterStore
    from deodar.edr.database import Database
    from deodar.edr.installation import Installation
    from deodar.edr.log.lineage import Lineage
    from deodar.store.engine import Engine

_PREPARE: Final = 0x707265
_PREPARE_TRIES: Final = 300
_PAUSE: Final = 0.1


@dataclass(frozen=True)
class Node:
    """The parts that others of the server use."""

    view: FollowedLog
    publisher: Publisher
    writer: Writer
    connection: Connection
    presence: Presence

    def metrics(self) -> NodeMetrics:
        """Return what shows the node in Prometheus."""
        return NodeMetrics(self)


@contextlib.asynccontextmanager
async def joined(
    installation: Installation,
    engine: Engine,
    dead_letters: DeadLetterStore,
    stop: asyncio.Event | None,
) -> AsyncIterator[Node]:
    """Be a node while this lasts; `stop` is set when it cannot be one any longer.

    Raises NodeProblem, ControlDataError, StoreError.
    """
    bounds, folder = installation.settings.ingest, installation.directory.path
    database = await asyncio.to_thread(installation.database)
    with contextlib.closing(database):
        lineage = await asyncio.to_thread(_prepare, engine, database)
        positions = Positions(database)
        connection = Connection(bounds.stream, folder)
        publisher = Publisher(connection, positions, engine)
        view = await asyncio.to_thread(FollowedLog, engine, lineage, positions, publisher)
        connection.listen(connection.subject(SUBJECT), view.hear)
        name = installation.node_name
        desk = Desk(name, engine, bounds, connection, positions, view, dead_letters)
        writer = Writer(desk, database.session_lock(writer_lock.KEY))
        presence = Presence(Register(database), name)
        async with (
            presence.noted(stop),
            connection.opened(),
            view.followed(connection, stop),
            writer.running(stop),
        ):
            yield Node(view, publisher, writer, connection, presence)


def _prepare(engine: Engine, database: Database) -> Lineage:
    """Bring the log's tables up to date, one node at a time."""
    lock = database.session_lock(_PREPARE)
    try:
        for _ in range(_PREPARE_TRIES):
            if lock.take():
                return prepare(engine)
            time.sleep(_PAUSE)
    finally:
        lock.release()
    raise NodeProblem("another node does not come to an end with preparing the event log")
