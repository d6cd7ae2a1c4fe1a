"""From a journal record to what the core and the dead-letter store take: pure, and repeatable.

The same record gives the same batch id, the same event ids and the same times on every try, so a
redo after a crash is recognised by the store. The time of a batch is when the answer was fetched.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from deodar.columnar.dead_letters import DeadLetter
from deodar.kit.body import encode
from deodar.kit.journal import JournalError
from deodar.kit.logging import logger
from deodar.siem.collector.record import Replay, batch_id, decode, event_ids, has_events
from deodar.siem.collector.repeats import Repeats
from deodar.siem.collector.since import cut
from deodar.siem.connectors.framing import divide
from deodar.siem.destinations.forms import ndjson, render
from deodar.siem.pipeline.counts import NOTHING, StageCounts
from deodar.siem.pipeline.frame import joined
from deodar.siem.pipeline.line import Line

if TYPE_CHECKING:
    from deodar.kit.journal import Record
    from deodar.siem.collector.record import RecordHeader
    from deodar.siem.normalizers.base import Normalizer

BASE_EVENT = 1
MADE = 1 << 31
"""The first number of events that a record's answer did not have."""
_NO_EVENTS = pa.RecordBatch.from_pydict({})
PACKING: Literal["zstd"] = "zstd"
PACKING_LEVEL = -1  # packing at a gigabyte a second costs less than encrypting what it saves
_log = logger("siem.collector")


@dataclass(frozen=True)
class Stamp:
    """What every event of a collector carries."""

    service_id: str
    service_name: str
    tenant_id: str


@dataclass(frozen=True)
class Prepared:
    """One record, ready to be handed over.

    `events` are those that leave the pipeline, and `payload` the same as an Arrow IPC stream of
    `rows` rows packed as `PACKING`; both are None when there are none. `received` counts the events
    that were in the answer, `normalized` those that could be normalized, and `stages` what became
    of them; `fetched_us` is when it was fetched, µs since the epoch. `too_old` were not wanted,
    `repeated` came before. `only` names the one destination that it is for, "" for all.
    """

    number: int
    batch_id: str
    url: str = ""
    payload: bytes | None = None
    rows: int = 0
    received: int = 0
    normalized: int = 0
    stages: StageCounts = NOTHING
    letters: tuple[DeadLetter, ...] = ()
    body: bytes = b""
    events: pa.RecordBatch | None = None
    fetched_us: int = 0
    framing: str = ""
    too_old: int = 0
    repeated: int = 0
    only: str = ""


class Preparer:
    """Prepares the records of one journal with one normalizer."""

    def __init__(
        self, normalizer: Normalizer, stamp: Stamp, journal_identity: str, line: Line | None = None
    ) -> None:
        """`line` are the stages behind normalizing, none if it is not given."""
        self._line = line or Line()
        self._normalizer = normalizer
        self._stamp = stamp
        self._identity = journal_identity
        self._repeats, self._counted = Repeats(), 0

    def warm_up(self) -> None:
        """Do once what is slow at the first time, so that the first event does not wait for it."""
        self._normalizer.run([b'{"EventType":"process"}', b"{"])

    def prepare(self, record: Record) -> Prepared:
        """Return what becomes of a record; whatever is wrong with it becomes dead letters.

        Raises JournalError when what the stages have to note cannot be made durable now.
        """
        for earlier in self._line.missed(record.number):
            self._prepared(earlier)
        return self._prepared(record)

    def _prepared(self, record: Record) -> Prepared:
        batch = batch_id(self._identity, record.number)
        try:
            return self._prepare(record, batch)
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001 - one record must never stop the stream
            _log.exception("a record could not be prepared", batch_id=batch)
            reason = f"the normalizer failed: {type(error).__name__}: {error}"
            letter = DeadLetter(reason, "$", 0, record.body, "collector", _framing(record))
            return Prepared(record.number, batch, letters=(letter,))

    def _prepare(self, record: Record, batch: str) -> Prepared:
        header = decode(record.header)
        if not has_events(header):
            empty = Prepared(record.number, batch, header.url, fetched_us=header.fetched_us)
            return self._passed(empty, _NO_EVENTS, [], header, b"")
        again = header.replay or Replay(batch)
        events, broken = divide(header.framing, record.body, header.encoding)
        outcome = self._normalizer.run(events)
        outcome, too_old = cut(outcome, 0 if header.replay else header.since_us)
        letters = [replace_source(letter, header.url) for letter in (*broken, *outcome.dead)]
        prepared = Prepared(
            record.number,
            again.batch,
            header.url,
            received=len(events) + len(broken),
            normalized=outcome.batch.num_rows,
            letters=tuple(letters),
            fetched_us=header.fetched_us,
            framing=header.framing,
            too_old=too_old,
            repeated=self._count_repeats(record, outcome.batch),
            only=again.only,
        )
        return self._passed(prepared, outcome.batch, outcome.rows, header, record.body)

    def _passed(
        self,
        prepared: Prepared,
        events: pa.RecordBatch,
        rows: list[int],
        header: RecordHeader,
        body: bytes,
    ) -> Prepared:
        """Return what leaves the stages: the events that came, and those that were made of others.

        The latter are numbered from `MADE` on, so that their ids are like no other's.
        """
        if events.num_rows:
            events = self._stamped(events, rows, header, prepared.batch_id)
        elif self._line.is_idle:
            return prepared
        whole = header.replay is not None and header.replay.whole
        passed = self._line.run(
            events, rows, prepared.number, header.fetched_us, aggregate=not whole
        )
        leaving = passed.events
        if passed.added is not None:
            numbers = list(range(MADE, MADE + passed.added.num_rows))
            added = self._stamped(passed.added, numbers, header, prepared.batch_id)
            leaving = added if leaving is None else joined(leaving, added)
        return _leaving(replace(prepared, stages=passed.counts), leaving, body)

    def _count_repeats(self, record: Record, events: pa.RecordBatch) -> int:
        """Return how many events came before; a record that is prepared again counts no more."""
        if record.number <= self._counted:
            return 0
        self._counted = record.number
        return self._repeats.count(events)

    def _stamped(
        self, events: pa.RecordBatch, rows: list[int], header: RecordHeader, batch: str
    ) -> pa.RecordBatch:
        """Add the columns that every event has; what the normalizer filled is kept."""
        count = events.num_rows
        fetched_ms = header.fetched_us // 1000
        columns = dict(zip(events.schema.names, events.columns, strict=True))
        service = {
            "ID": pa.array(event_ids(batch, rows), pa.string()),
            "Type": _repeated(BASE_EVENT, pa.int64(), count),
            "Timestamp": _repeated(fetched_ms, pa.int64(), count),
            "ServiceID": _repeated(self._stamp.service_id, pa.string(), count),
            "ServiceName": _repeated(self._stamp.service_name, pa.string(), count),
            "TenantID": _repeated(self._stamp.tenant_id, pa.string(), count),
            "BatchID": _repeated(batch, pa.string(), count),
            "BatchTime": _repeated(fetched_ms, pa.timestamp("ms", "UTC"), count),
        }
        filled = {
            name: _filled(columns[name], service[name]) for name in service if name in columns
        }
        return pa.RecordBatch.from_pydict({**service, **columns, **filled})


def _filled(column: pa.Array, default: pa.Array) -> pa.Array:
    """Return a column with the default where it is empty: "" or 0."""
    nothing = "" if pa.types.is_string(column.type) else 0
    return pc.if_else(pc.equal(column, nothing), default, column)


def _leaving(prepared: Prepared, events: pa.RecordBatch | None, body: bytes) -> Prepared:
    """Return what is prepared with the events that leave, if any.

    `body` is what is kept of them if they are refused.
    """
    if events is None:
        return prepared
    payload = encode(stream(events), PACKING, PACKING_LEVEL)
    body = body or ndjson(render("json", events))  # what time alone brought out of windows
    return replace(prepared, payload=payload, rows=events.num_rows, body=body, events=events)


def _repeated(value: object, kind: pa.DataType, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), count)


def replace_source(letter: DeadLetter, source: str) -> DeadLetter:
    """Return the dead letter with its source named."""
    return msgspec.structs.replace(letter, source=source)


def _framing(record: Record) -> str:
    try:
        return decode(record.header).framing
    except msgspec.MsgspecError:
        return ""


def count_events(record: Record) -> int:
    """Return how many events are in a record, as they came; 0 for one that is no answer."""
    try:
        header = decode(record.header)
    except msgspec.MsgspecError:
        return 0
    if not has_events(header):
        return 0
    events, broken = divide(header.framing, record.body)
    return len(events) + len(broken)


def stream(batch: pa.RecordBatch) -> pa.Buffer:
    """Return a batch as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def without_collection(preparer: Preparer, record: Record) -> Prepared:
    """Prepare with Python's cycle collector held off: it finds nothing here and costs a fifth."""
    gc.disable()
    try:
        return preparer.prepare(record)
    finally:
        gc.enable()
