"""The core's own storage as a service: it reports to itself what conditions are made of."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import uuid
from typing import TYPE_CHECKING, Any

from deodar import __version__
from deodar.kit.background import background
from deodar.kit.logging import logger
from deodar.siem.errors import ControlDataError, NotPossible
from deodar.siem.services.host.log_lines import LogLines
from deodar.siem.services.host.measures import partitions
from deodar.siem.services.wire import Host, Measures, Partition, ServiceReport
from deodar.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from deodar.siem.services.core import ServiceCore
    from deodar.siem.services.service import Service
    from deodar.siem.storage.service import StorageService
    from deodar.store.engine import Engine

NAME = "storage"
_QUEUE = "SELECT sum(data_files) AS n FROM system.distribution_queue"
_DISKS = "SELECT path, free_space, total_space FROM system.disks WHERE type = 'Local'"
_log = logger("siem.storage")


class OwnStorage:
    """Reports for the storage until the block of `running` ends; `searched` counts a search."""

    def __init__(self, core: ServiceCore, engine: Engine, storage: StorageService) -> None:
        self._core = core
        self._engine = engine
        self._storage = storage
        self._cluster = core.settings.store.startswith("clickhouse")
        self._lines = LogLines()
        self._log_from = 1
        self._boot = str(uuid.uuid4())
        self._began = time.monotonic()
        self._host = Host(socket.getfqdn()[:255], __version__, core.settings.port)
        self._searches = 0
        self._fault = ""

    def searched(self) -> None:
        """Count a search."""
        self._searches += 1

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Report while the block runs."""
        end_listening = self._lines.listen()
        try:
            async with background(self._run(), "report of the storage"):
                yield
        finally:
            end_listening()

    async def _run(self) -> None:
        while True:
            try:
                await self._report(await asyncio.to_thread(self._service))
            except ControlDataError as error:
                _log.error("the storage cannot report", reason=str(error))
            await asyncio.sleep(self._core.settings.services.report_seconds)

    def _service(self) -> Service:
        """Return the storage's row, made if it is not there."""
        settings, register = self._core.settings, self._core.register
        id_ = str(uuid.uuid5(uuid.NAMESPACE_URL, f"deodar:{settings.tenant_id}:storage"))
        try:
            return register.adopt(id_, NAME, "storage", settings.tenant_id)
        except NotPossible:  # a collector has the name
            return register.adopt(id_, f"{NAME}-{id_[:8]}", "storage", settings.tenant_id)

    async def _report(self, service: Service) -> None:
        measures = await asyncio.to_thread(self._measure)
        report = ServiceReport(
            boot=self._boot,
            uptime=time.monotonic() - self._began,
            host=self._host,
            colour="yellow" if self._fault else "green",
            reason=self._fault,
            measures=measures,
            lines=self._lines.since(self._log_from),
        )
        self._log_from = self._core.watch.take(service, report, "local").log_from

    def _measure(self) -> Measures:
        storage = self._storage
        return Measures(
            log_errors=self._lines.errors,
            searches=self._searches,
            failed_inserts=storage.refused + storage.failed,
            distribution_queue=storage.waiting + self._queue(),
            partitions=self._partitions(),
        )

    def _queue(self) -> int:
        """Return how many files wait for other nodes; an embedded store has none."""
        if not self._cluster:
            return 0
        rows = self._rows(_QUEUE)
        return int(rows[0]["n"]) if rows else 0

    def _partitions(self) -> tuple[Partition, ...]:
        """Return the store's file systems, and those of this host."""
        mine = partitions(self._core.home.path)
        if not self._cluster:
            return mine
        disks = self._rows(_DISKS)
        others = (
            Partition(str(row["path"])[:256], row["free_space"], row["total_space"], state=True)
            for row in disks[:8]
        )
        return (*others, *mine[:8])

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        try:
            rows: list[dict[str, Any]] = self._engine.query(sql).to_pylist()
        except StoreError as error:
            self._fault = f"the store does not answer: {str(error)[:300]}"
            return []
        self._fault = ""
        return rows
