from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pyarrow as pa
import pytest
from sqlalchemy import select

from deodar.edr import keeping
from deodar.edr.log import eventlog
from deodar.edr.log.packet import Packet, block
from deodar.edr.log.schema import TABLE, prepare
from deodar.edr.settings import EdrSettings, Ingest
from deodar.edr.tables import audit

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def filled(engine):
    prepare(engine)
    for seq, days in enumerate((3, 2, 1), 1):
        received = int((NOW - timedelta(days=days)).timestamp() * 1_000_000)
        packet = Packet("s", seq, pa.RecordBatch.from_pydict({}), pa.array(["x"]))
        engine.insert(TABLE, block([packet], seq, received))
    return engine


def rows(database):
    with database.read() as connection:
        return connection.execute(select(audit)).all()


async def test_each_day_that_goes_is_in_the_audit_trail(filled, database, settings):
    settings = msgspec.structs.replace(settings, retention_days=0, retention_bytes=1)
    log = eventlog.open_log(filled, Ingest())
    keeping.retention(settings, filled, log, database).drop(NOW)
    found = [row for row in rows(database) if row.action == keeping.ACTION]
    assert [row.subject for row in found] == ["20261119", "20261120"]
    assert found[0].user == keeping.USER
    details = json.loads(found[0].details)
    assert details["reason"] == "size"
    assert (details["events"], details["last_seq"]) == (1, 1)
    assert details["bytes"] > 0


async def test_a_database_that_is_away_does_not_keep_what_must_go(filled, database):
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE audit")
    log = eventlog.open_log(filled, Ingest())
    settings = EdrSettings(retention_days=0, retention_bytes=1)
    assert len(keeping.retention(settings, filled, log, database).drop(NOW)) == 2
