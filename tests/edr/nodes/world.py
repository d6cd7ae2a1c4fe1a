"""The parts of a node without a server around them, on a real stream, database and store."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deodar.columnar.dead_letters import DeadLetterStore
from deodar.edr import writer_lock
from deodar.edr.database import Database
from deodar.edr.log.schema import prepare
from deodar.edr.nodes.connection import Connection
from deodar.edr.nodes.feed import Desk
from deodar.edr.nodes.follower import SUBJECT, FollowedLog
from deodar.edr.nodes.position import Positions
from deodar.edr.nodes.publisher import Publisher
from deodar.edr.nodes.writer import Writer
from deodar.edr.settings import Ingest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from deodar.edr.settings import Stream
    from deodar.store.engine import Engine

BOUNDS = Ingest(group_delay=0.01)


@dataclass
class World:
    """What a test speaks to."""

    desk: Desk
    publisher: Publisher
    writer: Writer
    connection: Connection

    @property
    def view(self) -> FollowedLog:
        return self.desk.view

    def read(self) -> list[str]:
        """Return the ids of all events that a reader gets, in their order."""
        found, after, upto = [], 0, self.view.watermark.value
        while after < upto:
            part = self.view.reader.read(after, upto, 1000, 1 << 30, None)
            found += [event["Id"] for event in json.loads(b"[" + bytes(part.joined) + b"]")]
            after = part.scanned
        return found


@contextlib.asynccontextmanager
async def world(
    name: str, database: Database, engine: Engine, stream: Stream, folder: Path
) -> AsyncIterator[World]:
    """Give a node's parts; its writer does not run yet."""
    positions = Positions(database)
    connection = Connection(stream, folder)
    publisher = Publisher(connection, positions, engine)
    view = FollowedLog(engine, prepare(engine), positions, publisher)
    connection.listen(connection.subject(SUBJECT), view.hear)
    letters = DeadLetterStore(folder / f"letters-{name}")
    desk = Desk(name, engine, BOUNDS, connection, positions, view, letters)
    lock = database.session_lock(writer_lock.KEY)
    async with connection.opened(), view.followed(connection):
        yield World(desk, publisher, Writer(desk, lock), connection)
    lock.release()
