"""The log's table in the store: the event as it is served, and columns of what is filtered most.

Each column costs processor time at every insert and every merge, so only a few fields have one. All
others are computed from the event's text when a filter names them (`deodar.edr.log.extraction`). A
block of events has one time of receipt, so that it lies in one partition (a day, UTC) and is
deduplicated as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.edr.log.extraction import extracted
from deodar.edr.log.lineage import EPOCH_TABLE, Lineage, lineage
from deodar.store.migrations import Migration, migrate

if TYPE_CHECKING:
    from deodar.events.vocabulary import Field
    from deodar.store.engine import Engine

COMPONENT = "edr"
TABLE = "edr_events"
RESERVED = ("seq", "received", "source", "packet", "raw")
HOT = (
    "Timestamp",
    "EventType",
    "AgentId",
    "HostName",
    "HostIp",
    "UserName",
    "FileName",
    "FileFullName",
    "Md5",
    "Sha256",
    "SystemPid",
    "UniquePid",
    "RemoteIp",
    "RemotePort",
)
"""The fields that have a column of their own name."""

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
                Timestamp Nullable(Int64) CODEC(Delta, ZSTD(1)),
                EventType LowCardinality(String),
                AgentId LowCardinality(String),
                HostName LowCardinality(String),
                HostIp LowCardinality(String),
                UserName LowCardinality(String),
                FileName String,
                FileFullName String,
                Md5 String,
                Sha256 String,
                SystemPid Nullable(Int64),
                UniquePid String,
                RemoteIp String,
                RemotePort Nullable(Int64),
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
    Migration(
        number=2,
        name="epochs of restored logs",
        statements=(
            f"ALTER TABLE {EPOCH_TABLE} ADD COLUMN IF NOT EXISTS number UInt32",
            f"ALTER TABLE {EPOCH_TABLE} ADD COLUMN IF NOT EXISTS since UInt64",
            f"""
            ALTER TABLE {EPOCH_TABLE}
            MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1
            """,
        ),
    ),
)


# Set where the engine knows them. A merge rewrites whole rows, so each row should see few of them:
# many parts at once, and none beyond a size that is good enough. Statistics are for orders of
# columns that nobody asks of this table.
_TUNING = {
    "min_parts_to_merge_at_once": "32",
    "max_bytes_to_merge_at_max_space_in_pool": str(4 << 30),
    "auto_statistics_types": "''",
    # A merged part is synced, too: the parts that it replaces go a few minutes later.
    "min_rows_to_fsync_after_merge": "1",
}


def prepare(engine: Engine) -> Lineage:
    """Bring the log's tables up to date and return its epochs; raises StoreError."""
    migrate(engine, COMPONENT, MIGRATIONS)
    _tune(engine)
    return lineage(engine)


def quoted(field: Field) -> str:
    """Return a field of the events in the log as SQL: its column, or what finds it in the text."""
    return f"`{field.name}`" if field.name in HOT else extracted(field)


def _tune(engine: Engine) -> None:
    known = engine.query("SELECT name FROM system.merge_tree_settings").column(0).to_pylist()
    query = (
        "SELECT engine_full FROM system.tables "
        "WHERE database = currentDatabase() AND name = {table:String}"
    )
    (made,) = engine.query(query, {"table": TABLE}).column(0).to_pylist()
    for name, value in _TUNING.items():
        # Each change writes the table's definition anew, so what is set already is left alone.
        if name in known and f" {name} = {value}" not in str(made):
            engine.command(f"ALTER TABLE {TABLE} MODIFY SETTING {name} = {value}")
