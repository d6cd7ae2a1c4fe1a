"""Aggregation as a stage of the pipeline: each record of the journal folded once and in order.

The stage is ahead of the slowest destination. A record that it has passed gets what its entry in
the ledger says; for one beyond the next it folds those between first, since a destination that gave
up records may ask for what another has yet to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from deodar.kit.journal import JournalError, RecordTooLarge
from deodar.kit.logging import logger
from deodar.siem.pipeline.aggregation.fold import SET_BACK_US, Fold
from deodar.siem.pipeline.aggregation.ledger import Entry, Ledger
from deodar.siem.pipeline.frame import frame_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deodar.kit.journal import Record
    from deodar.siem.pipeline.aggregation.fold import Step
    from deodar.siem.pipeline.aggregation.rule import AggregationRule
    from deodar.siem.pipeline.frame import EventFrame

_log = logger("siem.collector")


class Source(Protocol):
    """The collector's journal, as the stage needs it."""

    @property
    def identity(self) -> str:
        """Its own identity."""

    @property
    def acknowledged(self) -> int:
        """The number of the last record that all destinations are done with."""

    @property
    def last(self) -> int:
        """The number of the last record."""

    def read(self, after: int) -> Iterator[Record]:
        """Yield the records behind a number, oldest first."""


@dataclass(frozen=True)
class Aggregated:
    """What is left of a record's events, and those that came out of windows, None if none did."""

    frame: EventFrame
    out: pa.RecordBatch | None = None
    taken: int = 0
    early: int = 0


class Aggregation:
    """The stage of one collector; for one caller at a time."""

    def __init__(
        self, rules: Sequence[AggregationRule], home: Path, source: Source, max_bytes: int
    ) -> None:
        """Raises JournalUnavailable when its folder cannot be used."""
        self._source = source
        self._ledger = Ledger(home, source.identity, max_bytes, source.acknowledged)
        self._fold = Fold(rules, self._ledger.state)
        self._frontier = self._ledger.frontier
        self._look()
        for damage in self._ledger.damage:
            _log.error("windows of aggregation are damaged", damage=str(damage))

    @property
    def frontier(self) -> int:
        """The number of the last record that was folded."""
        return self._frontier

    @property
    def windows(self) -> int:
        """How many windows are open."""
        return self._open

    def is_due(self, now: int) -> bool:
        """Whether a window waits for nothing but a record of this time (µs) to close."""
        if self._due is None or self._frontier < self._source.last:
            return False
        return self._due <= now or now < self._fold.state.now - SET_BACK_US

    def missed(self, number: int) -> Iterator[Record]:
        """Yield the records before `number` that were not folded yet."""
        if number <= self._frontier + 1:
            return
        for record in self._source.read(self._frontier):
            if record.number >= number:
                return
            if record.number > self._frontier:
                yield record

    def run(self, frame: EventFrame, number: int, now: int) -> Aggregated:
        """Return what becomes of a record's events; `now` is when it was fetched, µs.

        Raises JournalError when that cannot be made durable; then nothing has happened.
        """
        if number > self._frontier:
            entry = self._folded(frame, number, now)
        else:
            entry = self._ledger.find(number)
        return Aggregated(frame) if entry is None else _aggregated(frame, entry)

    def _folded(self, frame: EventFrame, number: int, now: int) -> Entry | None:
        entry = None
        if self._fold.has_work:
            step = self._fold.step(frame, now)
            try:
                entry = self._entry(frame, step)
                self._ledger.append(number, entry)
            except RecordTooLarge as error:  # it never will be: its events go on as they are
                _log.error("a record is not aggregated", record=number, reason=str(error))
                entry = None
            else:
                self._fold.commit(step)
            self._look()
        self._frontier = number
        try:
            self._ledger.tidy(self._source.acknowledged)
        except JournalError as error:
            _log.warning("aggregation's windows cannot be written anew yet", reason=str(error))
        return entry

    def _look(self) -> None:
        """Note what others ask while a record is being folded."""
        self._due = self._fold.due()
        self._open = sum(len(one) for one in self._fold.state.windows.values())

    def _entry(self, frame: EventFrame, step: Step) -> Entry:
        changed = dict.fromkeys(shape for shape, _ in step.changed)
        taken = frame.rows[step.taken].astype(np.uint32).tobytes()
        return Entry(
            step.now,
            taken,
            _written(step),
            step.early,
            tuple(step.changed.values()),
            tuple(step.closed),
            tuple(self._fold.state.shapes[digest] for digest in changed),
        )

    def close(self) -> None:
        """Let go of the files."""
        self._ledger.close()


def _written(step: Step) -> bytes:
    if not step.out:
        return b""
    batch = frame_of(step.out).batch()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def _aggregated(frame: EventFrame, entry: Entry) -> Aggregated:
    taken = np.frombuffer(entry.taken, np.uint32)
    out = next(iter(pa.ipc.open_stream(entry.out))) if entry.out else None
    kept = frame.keep(~np.isin(frame.rows, taken)) if len(taken) and len(frame) else frame
    return Aggregated(kept, out, len(taken), entry.early)
