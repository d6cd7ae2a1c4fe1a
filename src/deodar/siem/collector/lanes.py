"""The lanes of one collector: the storage's, and one for each destination of the settings."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deodar.siem.collector.courier import Courier
from deodar.siem.collector.lane import Lane, Limits
from deodar.siem.collector.positions import Positions
from deodar.siem.collector.prepare import Preparer, Stamp
from deodar.siem.collector.tally import Tally
from deodar.siem.collector.workshop import Workshop
from deodar.siem.destinations import registry
from deodar.siem.destinations.base import STORAGE
from deodar.siem.destinations.selection import Selection
from deodar.siem.normalizers.registry import open_normalizer
from deodar.siem.pipeline import settings as pipeline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from deodar.columnar.dead_letters import DeadLetterStore
    from deodar.kit.directory import StateDirectory
    from deodar.siem.collector.board import Board
    from deodar.siem.collector.delivery import Delivery
    from deodar.siem.collector.desk import Desk
    from deodar.siem.collector.tally import DestinationReport
    from deodar.siem.destinations.base import CommonSettings
    from deodar.siem.pipeline.counts import PipelineReport
    from deodar.siem.pipeline.line import Line
    from deodar.siem.settings import CollectorSettings

TICK_SECONDS = 1.0
_SHARED = 4  # prepared records that are kept for destinations that are not quite as far


@dataclass(frozen=True)
class _Outlet:
    settings: CommonSettings
    tally: Tally
    lane: Lane


class Lanes:
    """All lanes; `run` works until cancelled."""

    def __init__(
        self,
        storage: Lane,
        outlets: Sequence[_Outlet],
        workshop: Workshop,
        board: Board,
        line: Line,
        desk: Desk,
    ) -> None:
        self._line = line
        self._desk = desk
        self._storage = storage
        self._outlets = outlets
        self._workshop = workshop
        self._board = board

    async def run(self) -> None:
        """Deliver what is in the journal and what comes into it."""
        await self._workshop.warm_up()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick())
            for lane in (self._storage, *(outlet.lane for outlet in self._outlets)):
                group.create_task(lane.run())

    async def _tick(self) -> None:
        """Let time go on for windows of aggregation that wait for nothing else."""
        stage = self._line.aggregation
        while stage is not None:
            await asyncio.sleep(TICK_SECONDS)
            if stage.is_due(time.time_ns() // 1000):
                await self._desk.tick()

    @property
    def waiting(self) -> int:
        """Answers that are not in the store."""
        return self._storage.waiting

    def pipeline(self) -> PipelineReport:
        """Return the state of the stages between normalizing and the destinations."""
        return self._line.report()

    def reports(self) -> tuple[DestinationReport, ...]:
        """Return the state of each destination, the storage's first."""
        storage = self._board.storage(self._storage.waiting)
        return storage, *(one.tally.report(one.lane.waiting) for one in self._outlets)


@asynccontextmanager
async def open_lanes(
    home: StateDirectory,
    settings: CollectorSettings,
    desk: Desk,
    board: Board,
    letters: DeadLetterStore,
    delivery: Delivery,
) -> AsyncIterator[Lanes]:
    """Open the destinations of the settings that are enabled, with a lane for each.

    Raises SettingsError, TlsError or JournalUnavailable when one cannot be opened.
    """
    read = registry.read(settings.destinations, where=settings.name)
    wanted = [one for one in read if one.enabled]
    stamp = Stamp(settings.service_id, settings.name, settings.tenant_id)
    normalizer = open_normalizer(settings.normalizer)
    stages = pipeline.read(settings, settings.name)
    names = [STORAGE, *(one.name for one in wanted)]
    outlets: list[_Outlet] = []
    async with AsyncExitStack() as opened:
        line = pipeline.open_line(stages, home.path, desk, settings.journal_bytes)
        opened.callback(line.close)
        preparer = Preparer(normalizer, stamp, desk.identity, line)
        workshop = Workshop(preparer, _SHARED if wanted else 0, board.hinder_stages)
        opened.push_async_callback(workshop.close)
        positions = Positions(home.path / "journal", desk, names)
        opened.callback(positions.close)
        storage = Lane(STORAGE, desk, workshop, delivery, positions, board.error)
        for one in wanted:
            destination = registry.open_destination(one, home.path)
            opened.push_async_callback(destination.close)
            tally = Tally(one.name, one.kind)
            selection = Selection(one.filter, line.tables)
            courier = Courier(
                one.name, destination, selection, letters, tally, board.error, board.ledger
            )
            most = one.buffer_bytes or settings.journal_bytes // 2
            limits = Limits(most, one.buffer_seconds, courier.gave_up)
            lane = Lane(one.name, desk, workshop, courier, positions, board.error, limits)
            outlets.append(_Outlet(one, tally, lane))
        yield Lanes(storage, outlets, workshop, board, line, desk)
