"""Metrics of response for Prometheus: agents that wait, tasks by state, files, scans, alerts.

They are counted in the database when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from deodar.edr.errors import ControlDataError
from deodar.edr.tables_response import fetched_files, scans, tasks
from deodar.edr.tasking.tasks import STATES as TASK_STATES
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric
    from sqlalchemy import Connection

    from deodar.edr.database import Database
    from deodar.edr.responding import Responding

log = logger("edr.responding")


class RespondingMetrics(Collector):
    """What response has to do."""

    def __init__(self, database: Database, responding: Responding) -> None:
        self._database = database
        self._responding = responding

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        waiting = self._responding.tasking.waker.waiting
        yield GaugeMetricFamily(
            "deodar_edr_agents_waiting", "Agents that wait for orders here", value=waiting
        )
        starts = self._responding.scanning.starts
        yield CounterMetricFamily(
            "deodar_edr_scanning_starts", "Starts of the scanning process", value=starts
        )
        try:
            with self._database.read() as connection:
                yield from _counted(connection)
        except ControlDataError as error:
            log.warning("response_not_measured", reason=str(error))


def _counted(connection: Connection) -> Iterator[Metric]:
    by_state = select(tasks.c.state, func.count()).group_by(tasks.c.state)
    counts = {row[0]: row[1] for row in connection.execute(by_state).all()}
    gauge = GaugeMetricFamily("deodar_edr_tasks", "Tasks that are kept", labels=["state"])
    for state in TASK_STATES:
        gauge.add_metric([state], counts.get(state, 0))
    yield gauge
    files = select(func.coalesce(func.sum(fetched_files.c.size), 0))
    yield GaugeMetricFamily(
        "deodar_edr_fetched_bytes",
        "Bytes of the files that agents fetched",
        value=int(connection.execute(files).scalar_one()),
    )
    waiting = select(func.count()).where(scans.c.state == "processing")
    yield GaugeMetricFamily(
        "deodar_edr_scans_waiting",
        "Files that wait to be scanned",
        value=connection.execute(waiting).scalar_one(),
    )
