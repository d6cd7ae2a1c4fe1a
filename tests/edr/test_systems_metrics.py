from __future__ import annotations

import time

import pytest
from prometheus_client import CollectorRegistry

from deodar.edr.admission import Admission
from deodar.edr.external_system import Caller
from deodar.edr.external_systems import Register
from deodar.edr.log import eventlog
from deodar.edr.progress import Progress
from deodar.edr.settings import ExternalSystems, Ingest
from deodar.edr.systems_metrics import SystemsMetrics
from deodar.tls import certificates

from .conftest import self_made

WHO = {"id": "siem", "address": "10.0.0.1", "name": "The SIEM"}


async def test_each_accepted_system_has_its_own_series(engine, database):
    register, progress = Register(database, ExternalSystems()), Progress(database)
    caller = Caller("siem", "10.0.0.1", certificates.der(self_made().certificate))
    async with eventlog.running(engine, Ingest()) as log:
        registry = CollectorRegistry()
        registry.register(SystemsMetrics(log, register, Admission()))
        register.authorise(caller)
        assert registry.get_sample_value("deodar_edr_fetched_events_total", WHO) is None
        register.accept("siem", "The SIEM")
        assert registry.get_sample_value("deodar_edr_fetched_events_total", WHO) == 0
        assert registry.get_sample_value("deodar_edr_behind_events", WHO) is None
        progress.note(caller, 0, 7)
        await progress.write()
        assert registry.get_sample_value("deodar_edr_fetched_events_total", WHO) == 7
        assert registry.get_sample_value("deodar_edr_behind_events", WHO) == 0
        fetched = registry.get_sample_value("deodar_edr_last_fetch_timestamp_seconds", WHO)
        assert fetched == pytest.approx(time.time(), abs=60)
        assert registry.get_sample_value("deodar_edr_requests_refused_total") == 0


async def test_a_database_that_is_away_leaves_the_other_metrics(engine, database):
    async with eventlog.running(engine, Ingest()) as log:
        registry = CollectorRegistry()
        registry.register(SystemsMetrics(log, Register(database, ExternalSystems()), Admission()))
        with database.write() as connection:
            connection.exec_driver_sql("DROP TABLE external_systems")
        assert registry.get_sample_value("deodar_edr_requests_refused_total") == 0
        assert registry.get_sample_value("deodar_edr_behind_events", WHO) is None
