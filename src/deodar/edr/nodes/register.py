"""Which nodes share the log: each notes itself every few seconds, and stops once it was removed."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import insert, select, update

from deodar import __version__
from deodar.edr.database import now_us, record
from deodar.edr.errors import AlreadyThere, ControlDataError, NodeProblem, NotKnown
from deodar.edr.tables_nodes import log_position
from deodar.edr.tables_nodes import nodes as table
from deodar.kit.background import background
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sqlalchemy import Connection, Row

    from deodar.edr.database import Database

NOTE_EVERY: Final = 2.0
SILENT_US: Final = 15 * 1_000_000
"""A node that has noted nothing for so long does not run."""
MOST: Final = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)

log = logger("edr.nodes")


class NodeRow(msgspec.Struct, frozen=True):
    """One node. Times are µs, 0 for never."""

    name: str
    added_us: int
    seen_us: int
    started_us: int
    removed_us: int
    url: str
    version: str
    state: str
    """``added``, ``running``, ``writing``, ``silent`` or ``removed``."""


class Register:
    """The nodes in one database; synchronous, safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> Sequence[NodeRow]:
        """Return all nodes, also those that were removed, by name."""
        with self._database.read() as connection:
            writer = connection.execute(select(log_position.c.writer)).scalar()
            rows = connection.execute(select(table).order_by(table.c.name)).all()
        return [_node(row, str(writer or "")) for row in rows]

    def find(self, name: str) -> NodeRow:
        """Return a node; raises NotKnown."""
        for node in self.list():
            if node.name == name:
                return node
        raise NotKnown(f"no node '{name[:64]}'; see: deodar edr node list")

    def add(self, name: str) -> NodeRow:
        """Add a node that is to come, or one that was removed again; returns it.

        Raises NodeProblem, AlreadyThere.
        """
        check_name(name)
        with self._database.write() as connection:
            before = _row(connection, name)
            if before is not None and not before.removed_us:
                raise AlreadyThere(f"there is a node '{name}' already")
            _check_room(connection)
            _put(connection, name, before is None)
            record(connection, "node add", name)
        return self.find(name)

    def remove(self, name: str) -> NodeRow:
        """Remove a node; if it runs it stops within seconds. Returns it; raises NotKnown."""
        self.find(name)
        with self._database.write() as connection:
            values = {"removed_us": now_us()}
            connection.execute(update(table).where(table.c.name == name).values(**values))
            record(connection, "node remove", name)
        return self.find(name)

    def start(self, name: str) -> None:
        """Note that a node starts; raises NodeProblem when it was removed or runs elsewhere."""
        check_name(name)
        with self._database.write() as connection:
            before = _row(connection, name)
            if before is not None and before.removed_us:
                raise NodeProblem(f"the node '{name}' was removed; see: deodar edr node add")
            if before is None:
                _check_room(connection)
                _put(connection, name, new=True)
            values = {"started_us": now_us(), "seen_us": now_us(), "version": __version__}
            connection.execute(update(table).where(table.c.name == name).values(**values))

    def note(self, name: str, url: str) -> bool:
        """Note that a node runs; returns whether it may go on."""
        with self._database.write() as connection:
            values = {"seen_us": now_us(), "url": url[:256]}
            mine = (table.c.name == name) & (table.c.removed_us == 0)
            return connection.execute(update(table).where(mine).values(**values)).rowcount == 1


class Presence:
    """One running node's own row. Used within one event loop."""

    def __init__(self, register: Register, name: str) -> None:
        self._register = register
        self.name = name
        self.url = ""

    @contextlib.asynccontextmanager
    async def noted(self, stop: asyncio.Event | None) -> AsyncIterator[None]:
        """Note the node while this lasts; `stop` is set when it was removed.

        Raises NodeProblem when it must not start.
        """
        await asyncio.to_thread(self._register.start, self.name)
        async with background(self._note(), "presence of the node", stop):
            yield

    async def _note(self) -> None:
        """Note again and again, until the node was removed."""
        while True:
            await asyncio.sleep(NOTE_EVERY)
            try:
                may_go_on = await asyncio.to_thread(self._register.note, self.name, self.url)
            except ControlDataError as error:
                log.warning("presence_not_noted", reason=str(error))
                continue
            if not may_go_on:
                log.error("node_removed", node=self.name)
                return


def check_name(name: str) -> None:
    """Raise NodeProblem for what cannot be a node's name."""
    if not _NAME.fullmatch(name):
        raise NodeProblem("a node's name has 1 to 64 letters, digits, dots, dashes, underscores")


def _row(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(select(table).where(table.c.name == name)).first()


def _check_room(connection: Connection) -> None:
    there = select(table.c.name).where(table.c.removed_us == 0)
    if len(connection.execute(there).all()) >= MOST:
        raise NodeProblem(f"there are {MOST} nodes already; remove those that are gone")


def _put(connection: Connection, name: str, new: bool) -> None:
    if new:
        connection.execute(insert(table).values(name=name, added_us=now_us()))
    else:
        values = {"removed_us": 0, "added_us": now_us(), "seen_us": 0}
        connection.execute(update(table).where(table.c.name == name).values(**values))


def _node(row: Row[Any], writer: str) -> NodeRow:
    values = dict(row._mapping)  # SQLAlchemy's public name for it
    return NodeRow(**values, state=_state(values, writer))


def _state(values: dict[str, Any], writer: str) -> str:
    if values["removed_us"]:
        return "removed"
    if not values["seen_us"]:
        return "added"
    if values["seen_us"] < now_us() - SILENT_US:
        return "silent"
    return "writing" if values["name"] == writer else "running"
