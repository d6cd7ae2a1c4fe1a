"""The log's table in the store: one column for each field of the vocabulary, and the event itself.

``raw`` is the event as it is served; the other columns are for filters. A block of events has one
time of receipt, so that it lies in one partition (a day, UTC) and is deduplicated as one.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from deodar.events.vocabulary import VOCABULARY
from deodar.store.migrations import Migration, migrate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deodar.events.vocabulary import Field
    from deodar.store.engine import Engine

COMPONENT = "edr"
TABLE = "edr_events"
EPOCH_TABLE = "edr_epoch"
RESERVED = ("seq", "received", "source", "packet", "raw")
_TYPES = {"string": "String", "integer": "Nullable(Int64)", "strings": "Array(String)"}

MIGRATIONS = (
    Migration(
        number=1,
        name="event log",
        statements=(
            f"""
            CREATE TABLE IF NOT EXISTS {TABLE} (
                seq UInt64 CODEC(Delta, ZSTD(1)),
                received Int64 CODEC(Delta, ZSTD(1)),
                source LowCardinality(String),
                packet UInt64 CODEC(Delta, ZSTD(1)),
                raw String CODEC(ZSTD(1))
            )
            ENGINE = MergeTree
            PARTITION BY toYYYYMMDD(toDateTime(intDiv(received, 1000000), 'UTC'))
            ORDER BY seq
            SETTINGS index_granularity = 1024,
                     min_bytes_for_wide_part = 134217728,
                     fsync_after_insert = 1,
                     fsync_part_directory = 1,
                     non_replicated_deduplication_window = 1000
            """,
            f"""
            CREATE TABLE IF NOT EXISTS {EPOCH_TABLE} (epoch String, created DateTime)
            ENGINE = MergeTree ORDER BY created
            """,
        ),
    ),
)


# Set where the engine knows them. Merging rewrites all columns, so fewer and larger merges halve
# the cost of an event; statistics are for orders of columns that nobody asks of this table.
_TUNING = {"min_parts_to_merge_at_once": "16", "auto_statistics_types": "''"}


def prepare(engine: Engine) -> bytes:
    """Bring the log's tables up to date and return the log's epoch, 16 bytes.

    The epoch is made with the table and kept in it, so that continuation tokens of a log which was
    lost or replaced are recognised. Raises StoreError.
    """
    migrate(engine, COMPONENT, MIGRATIONS)
    _add_columns(engine)
    _tune(engine)
    return _epoch(engine)


def columns() -> Mapping[str, str]:
    """Return the type in the store of each vocabulary field's column, by the column's name."""
    return {column(name): _TYPES[field.kind] for name, field in VOCABULARY.fields.items()}


def column(field: str) -> str:
    """Return the name of a field's column: its own, with underscores for dots.

    The engine takes columns with a common part before a dot for one nested table, whose lists
    must all be of one length; those of events are not.
    """
    return field.replace(".", "_")


def quoted(field: Field) -> str:
    """Return a field's column as SQL."""
    return f"`{column(field.name)}`"


def _add_columns(engine: Engine) -> None:
    """Add the columns of fields that the vocabulary has got since the table was made."""
    known = engine.query(f"SELECT * FROM {TABLE} LIMIT 0").column_names  # noqa: S608  # a constant
    missing = {name: kind for name, kind in columns().items() if name not in known}
    if missing:
        added = ", ".join(
            f"ADD COLUMN IF NOT EXISTS `{name}` {kind}" for name, kind in missing.items()
        )
        engine.command(f"ALTER TABLE {TABLE} {added}")


def _tune(engine: Engine) -> None:
    known = engine.query("SELECT name FROM system.merge_tree_settings").column(0).to_pylist()
    for name, value in _TUNING.items():
        if name in known:
            engine.command(f"ALTER TABLE {TABLE} MODIFY SETTING {name} = {value}")


def _epoch(engine: Engine) -> bytes:
    query = f"SELECT epoch FROM {EPOCH_TABLE} ORDER BY created, epoch LIMIT 1"  # noqa: S608
    found = engine.query(query).column("epoch").to_pylist()
    if not found:
        engine.command(
            f"INSERT INTO {EPOCH_TABLE} VALUES ({{epoch:String}}, now())",  # noqa: S608
            {"epoch": uuid.uuid4().hex},
        )
        found = engine.query(query).column("epoch").to_pylist()
    value = found[0]
    return bytes.fromhex(value.decode() if isinstance(value, bytes) else value)
