from __future__ import annotations

import pyarrow as pa
import pytest

from deodar.edr.backup import events
from deodar.edr.errors import BackupError
from deodar.edr.log import reader as readers
from deodar.edr.log.lineage import lineage
from deodar.edr.log.packet import Packet, block
from deodar.edr.log.reader import Reader
from deodar.edr.log.schema import TABLE, prepare
from deodar.edr.log.voids import Void, Voids

DAY = 86_400_000_000


@pytest.fixture
def filled(engine):
    prepare(engine)
    for n in range(5):
        fields = pa.RecordBatch.from_pydict({"FileName": pa.array(["ä", "b"])})
        packet = Packet(f"agent/{n}", n + 1, fields, pa.array([f"{{{n}}}", "{}"]))
        engine.insert(TABLE, block([packet], 2 * n + 1, 1_700_000_000_000_000 + n * DAY))
    return engine


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(readers, "_BACKUP_ROWS", 3)


def everything(engine):
    return engine.query(f"SELECT * FROM {TABLE} ORDER BY seq").to_pylist()


def dump(engine, upto: int):
    return list(events.dump(events.StoreSource(Reader(engine)), upto))


@pytest.mark.usefixtures("small")
def test_the_log_comes_again_up_to_a_number_with_a_new_epoch(filled):
    before, epoch = everything(filled), lineage(filled).current
    pieces = dump(filled, 8)
    assert [rows for _, _, rows in pieces] == [0, 3, 3, 2]
    for table in ("edr_events", "edr_epoch"):
        filled.command(f"TRUNCATE TABLE {table}")
    assert events.load(filled, 8, ((name, data) for name, data, _ in pieces)) == 8
    assert everything(filled) == before[:8]
    line = lineage(filled)
    assert line.current != epoch
    assert line.problem(epoch, 8) is None
    assert line.problem(epoch, 9) is not None


def test_an_empty_log_too(engine):
    prepare(engine)
    epoch = lineage(engine).current
    pieces = [(name, data) for name, data, _ in dump(engine, 0)]
    engine.command("TRUNCATE TABLE edr_epoch")
    assert events.load(engine, 0, pieces) == 0
    assert lineage(engine).problem(epoch, 1) is not None


def test_a_store_with_events_is_refused(filled):
    with pytest.raises(BackupError, match="has events already"):
        events.load(filled, 0, [])
    assert len(everything(filled)) == 10


@pytest.mark.usefixtures("small")
def test_what_retention_drops_meanwhile_is_told(filled):
    pieces = events.dump(events.StoreSource(Reader(filled)), 10)
    next(pieces)
    next(pieces)
    filled.command(f"ALTER TABLE {TABLE} DELETE WHERE seq < 7 SETTINGS mutations_sync = 1")
    with pytest.raises(BackupError, match="retention dropped events 4 to 6"):
        next(pieces)


def test_a_log_that_ends_elsewhere_is_told(filled):
    pieces = [(name, data) for name, data, _ in dump(filled, 4)]
    filled.command("TRUNCATE TABLE edr_events")
    with pytest.raises(BackupError, match="ends at event 4 in place of 10"):
        events.load(filled, 10, pieces)


def test_damaged_rows_are_told():
    with pytest.raises(BackupError, match="damaged"):
        events.unpack(b"junk")


@pytest.mark.usefixtures("small")
def test_numbers_that_stand_for_nothing_are_no_loss_and_their_rows_are_left_out(filled):
    fields = pa.RecordBatch.from_pydict({})
    late = Packet("agent/9", 1, fields, pa.array(['"late"']))
    filled.insert(TABLE, block([late], 11, 1_700_000_000_000_000))
    filled.insert(TABLE, block([late], 1001, 1_700_000_000_000_000))
    reader = Reader(filled, lambda: Voids([Void(10, 1000)]))
    pieces = list(events.dump(events.StoreSource(reader), 1001))
    assert sum(rows for _, _, rows in pieces) == 11
