from __future__ import annotations

import pyarrow as pa

from deodar.columnar.dead_letters import DeadLetter, DeadLetterStore
from deodar.edr import metrics
from deodar.edr.log import eventlog
from deodar.edr.log.packet import Packet
from deodar.edr.log.retention import AGE, SIZE, Account, Day, Dropped
from deodar.edr.settings import Ingest
from deodar.edr.space import Space


async def test_metrics_follow_the_log_and_the_dead_letters(engine, tmp_path, database):
    letters = DeadLetterStore(tmp_path / "dead")
    async with eventlog.running(engine, Ingest(group_delay=0)) as log:
        registry = metrics.registry(log, letters, Account(), Space([tmp_path], 0))
        assert registry.get_sample_value("deodar_edr_events_total") == 0
        fields = pa.RecordBatch.from_pydict({"FileName": pa.array(["a", "b"])})
        await log.append(Packet("s", 1, fields, pa.array(["1", "2"])))
        letters.add([DeadLetter("r", "", 0, b"x")], "b")
        assert registry.get_sample_value("deodar_edr_events_total") == 2
        assert registry.get_sample_value("deodar_edr_packets_total") == 1
        assert registry.get_sample_value("deodar_edr_last_seq") == 2
        assert registry.get_sample_value("deodar_edr_dead_letters") == 1
        assert registry.get_sample_value("deodar_edr_failing") == 0


async def test_metrics_tell_what_retention_dropped(engine, tmp_path):
    account = Account(size=1000)
    space = Space([tmp_path], 1 << 60)
    async with eventlog.running(engine, Ingest()) as log:
        registry = metrics.registry(log, DeadLetterStore(tmp_path / "dead"), account, space)
        account.add(Dropped(Day("20261122", events=5, size=700), SIZE, last_seq=5))
        log.give_up(5)

        def value(name, reason=None):
            labels = {} if reason is None else {"reason": reason}
            return registry.get_sample_value(f"deodar_edr_{name}", labels)

        assert value("dropped_events_total", SIZE) == 5
        assert value("dropped_bytes_total", SIZE) == 700
        assert value("dropped_days_total", SIZE) == 1
        assert value("dropped_days_total", AGE) == 0
        assert value("log_bytes") == 1000
        assert value("floor_seq") == 5
        assert value("full") == 1
        assert value("free_bytes") > 0
