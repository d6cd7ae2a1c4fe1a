"""The opened event log with the way into it: of a server that is alone, or of one of several."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deodar.columnar.dead_letters import DeadLetterStore
from deodar.edr import writer_lock
from deodar.edr.ingest import Ingest
from deodar.edr.log import eventlog
from deodar.edr.space import Space, written
from deodar.store.engine import open_engine

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Iterator

    from deodar.edr.installation import Installation
    from deodar.edr.log.intake import Intake
    from deodar.edr.log.view import View
    from deodar.edr.nodes.node import Node
    from deodar.store.engine import Engine

_DECODERS = 2


@dataclass(frozen=True)
class WayIn:
    """An opened log with the way into it; `node` is None for a server that is alone."""

    engine: Engine
    log: View
    ingest: Ingest
    dead_letters: DeadLetterStore
    space: Space
    node: Node | None


@contextlib.asynccontextmanager
async def ingesting(
    installation: Installation, stop: asyncio.Event | None = None, engine: Engine | None = None
) -> AsyncIterator[WayIn]:
    """Hold the folder and give its opened log with the way in, also without a server around it."""
    settings = installation.settings.ingest
    with contextlib.ExitStack() as stack:
        stack.enter_context(installation.directory.lock())
        if engine is None:
            opened_here = contextlib.closing(open_engine(installation.store_url))
            engine = stack.enter_context(opened_here)
        letters = installation.directory.path / "dead-letters"
        dead_letters = DeadLetterStore(letters, settings.dead_letter_bytes)
        executor = stack.enter_context(threads("decode", _DECODERS))
        async with _opened(installation, engine, dead_letters, stop) as (log, intake, node):
            folders = written(installation.directory.path, installation.store_url)
            space = Space(folders, settings.free_bytes)
            ingest = Ingest(intake, dead_letters, settings.max_packet_events, executor, space)
            yield WayIn(engine, log, ingest, dead_letters, space, node)


@contextlib.asynccontextmanager
async def _opened(
    installation: Installation,
    engine: Engine,
    dead_letters: DeadLetterStore,
    stop: asyncio.Event | None,
) -> AsyncIterator[tuple[View, Intake, Node | None]]:
    """Give the log as readers see it, what takes packets, and the node if there are several."""
    settings = installation.settings.ingest
    if settings.stream.urls:
        from deodar.edr.nodes import node as nodes  # noqa: PLC0415 - for several servers only

        async with nodes.joined(installation, engine, dead_letters, stop) as node:
            yield node.view, node.publisher, node
        return
    async with (
        writer_lock.held(installation, stop),
        eventlog.running(engine, settings, stop) as opened,
    ):
        yield opened, opened, None


@contextlib.contextmanager
def threads(name: str, count: int) -> Iterator[ThreadPoolExecutor]:
    """Give threads for what would hold up the event loop."""
    with ThreadPoolExecutor(count, thread_name_prefix=name) as executor:
        yield executor
