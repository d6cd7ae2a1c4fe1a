"""Which log this is, and which earlier states of it it goes on from.

A log has an epoch, 16 random bytes, made with its tables and kept in them. Continuation tokens
carry it, so that those of a log which was lost or replaced are recognised. When a backup is
restored the log gets a further epoch that begins behind the backup's last number: tokens of the
epoch before hold up to that number, since both logs are the same so far, and not beyond it, where
the same numbers now stand for other events.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from deodar.store.engine import Engine

EPOCH_TABLE = "edr_epoch"


class Epoch(NamedTuple):
    """One state of the log: its id (16 bytes), and the number that it begins behind."""

    id: bytes
    since: int


class Lineage:
    """The epochs of a log, the present one last."""

    def __init__(self, epochs: Sequence[Epoch]) -> None:
        self._epochs = tuple(epochs)

    @property
    def current(self) -> bytes:
        """The id of the present epoch."""
        return self._epochs[-1].id

    def problem(self, epoch: bytes, seq: int) -> str | None:
        """Return why a place in the log that was told in an epoch is not good now, or None."""
        ids = [one.id for one in self._epochs]
        if epoch not in ids:
            return "it belongs to another event log: this one was replaced since"
        later = self._epochs[ids.index(epoch) + 1 :]
        if later and seq > min(one.since for one in later):
            return "it is ahead of the event log: an older state was restored since"
        return None


def lineage(engine: Engine) -> Lineage:
    """Return the log's epochs, the first one made if there is none; raises StoreError."""
    found = _read(engine)
    if not found:
        _add(engine, 0, 0)
        found = _read(engine)
    return Lineage(found)


def begin_epoch(engine: Engine, since: int) -> Lineage:
    """Begin another epoch behind a number; raises StoreError."""
    lineage(engine)  # the first epoch must be there
    _add(engine, len(_read(engine)), since)
    return lineage(engine)


def epoch_rows(engine: Engine) -> pa.Table:
    """Return the epochs as they are kept, for a backup."""
    return engine.query(f"SELECT * FROM {EPOCH_TABLE} ORDER BY number, created, epoch")  # noqa: S608


def restore_epochs(engine: Engine, rows: pa.Table) -> None:
    """Put a backup's epochs in the place of those of a log that is still empty."""
    engine.command(f"TRUNCATE TABLE {EPOCH_TABLE}")
    engine.insert(EPOCH_TABLE, rows)


def _read(engine: Engine) -> list[Epoch]:
    """Return the epochs; of two nodes that made one at the same time the same one always wins."""
    rows = engine.query(
        f"SELECT epoch, since FROM {EPOCH_TABLE} "  # noqa: S608  # a constant
        "ORDER BY number, created, epoch LIMIT 1 BY number"
    )
    return [Epoch(_id(row["epoch"]), int(row["since"])) for row in rows.to_pylist()]


def _add(engine: Engine, number: int, since: int) -> None:
    engine.command(
        f"INSERT INTO {EPOCH_TABLE} (epoch, created, number, since) "
        "SELECT {epoch:String}, now(), {number:UInt32}, {since:UInt64}",
        {"epoch": uuid.uuid4().hex, "number": number, "since": since},
    )


def _id(value: str | bytes) -> bytes:
    return bytes.fromhex(value.decode() if isinstance(value, bytes) else value)
