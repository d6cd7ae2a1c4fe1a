"""What holds for whatever takes packets, shown with the log itself (a stream: tests/edr/nodes)."""

from __future__ import annotations

import pyarrow as pa
import pytest

from deodar.edr.errors import PartlyTaken
from deodar.edr.log import eventlog
from deodar.edr.log.intake import Intake
from deodar.edr.log.packet import Packet
from deodar.edr.settings import Ingest


async def test_a_packet_is_taken_once_and_known_then(engine):
    async with eventlog.running(engine, Ingest(group_delay=0)) as opened:
        intake: Intake = opened
        packet = Packet("a/1", 5, pa.RecordBatch.from_pydict({}), pa.array(["{}"]))
        assert not await intake.knows("a/1", 5)
        assert await intake.append(packet)
        assert not await intake.append(packet)
        assert await intake.knows("a/1", 5)
        assert intake.was_taken("a/1", 5)
        with pytest.raises(PartlyTaken):
            await intake.knows("a/1", 7, 4)
