from __future__ import annotations

from deodar.edr.ingest import Origin
from deodar.edr.log.eventlog import EventLog
from deodar.edr.way_in import ingesting


async def test_a_server_alone_writes_its_log_itself(installation, engine, events):
    async with ingesting(installation, engine=engine) as opened:
        assert isinstance(opened.log, EventLog)
        assert opened.node is None
        receipt = await opened.ingest.take(Origin("a/1", 1), events.ndjson(3))
        assert (receipt.events, opened.log.watermark.value) == (3, 3)
