"""The table `events` of the SIEM's storage, made from the event model.

One row is one event. Times are milliseconds since the epoch as Int64, for KUMA's SQL reads them
so. Rows lie in the order of `Timestamp`, host and category: searches carry a time range, and
neighbours that are alike compress well. Partitions are days of arrival, so that retention drops
whole partitions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.siem.storage.model import MODEL, ModelField
from deodar.store.migrations import Migration

if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = "events"

DEDUPLICATION_WINDOW = 10_000
"""How many of the latest batches the table knows again by their token."""

_TYPES = {
    "string": "String",
    "integer": "Int64",
    "float": "Float64",
    "time": "Int64",
    "strings": "Array(String)",
    "map": "Map(String, String)",
}

_FEW_VALUES: frozenset[str] = frozenset(
    name.strip()
    for line in (
        "ServiceID, ServiceName, TenantID, TenantName, ServiceKind, ClusterName, SpaceID",
        "DeviceVendor, DeviceProduct, DeviceVersion, DeviceEventCategory, DeviceHostName",
        "DeviceAddress, DeviceAction, DeviceExternalID, DeviceDnsDomain, DeviceNtDomain",
        "DeviceTimeZone, DeviceFacility, Name, Severity, EventOutcome, ApplicationProtocol",
        "TransportProtocol, RequestMethod, Tactic, Technique, SourceUserName, SourceNtDomain",
        "SourceUserPrivileges, DestinationNtDomain, DestinationServiceName, FileType",
        "OldFileType, FilePermission, OldFilePermission, DeviceCustomString1",
    )
    for name in line.split(",")
)
"""Texts that have few distinct values in practice: kept as numbers into a dictionary."""

_INDEXES = (
    "INDEX by_id ID TYPE bloom_filter(0.01) GRANULARITY 4",
    "INDEX by_hash FileHash TYPE bloom_filter(0.01) GRANULARITY 4",
    "INDEX by_command DeviceCustomString4 TYPE ngrambf_v1(4, 32768, 2, 0) GRANULARITY 4",
)
"""Where a search would go through all rows: an event's id, a file's hash, part of a command."""

# A merge of this many columns costs as much as an insert. A base of 10 instead of 5 lets more parts
# of one size wait for each other, so a row is rewritten half as often; a search sees more parts.
_SETTINGS = {
    "min_bytes_for_wide_part": 134_217_728,
    "merge_selector_base": 10,
    "non_replicated_deduplication_window": DEDUPLICATION_WINDOW,
    "fsync_after_insert": 1,
    "fsync_part_directory": 1,
}


def column_type(field: ModelField) -> str:
    """Return the ClickHouse type of a field's column."""
    if field.name in _FEW_VALUES or field.label_of:
        return "LowCardinality(String)"
    return _TYPES[field.kind]


def column(field: ModelField) -> str:
    """Return the definition of a field's column."""
    codec = "CODEC(DoubleDelta, ZSTD(1))" if field.kind == "time" else "CODEC(ZSTD(1))"
    return f"`{field.name}` {column_type(field)} {codec}"


def create_table() -> str:
    """Return the statement that makes the table."""
    lines = [column(field) for field in MODEL.values()]
    lines += [
        "`BatchID` LowCardinality(String) CODEC(ZSTD(1))",
        "`BatchTime` DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))",
        *_INDEXES,
    ]
    settings = ", ".join(f"{name} = {value}" for name, value in _SETTINGS.items())
    body = ",\n    ".join(lines)
    return (
        f"CREATE TABLE IF NOT EXISTS {TABLE} (\n    {body}\n)\n"
        "ENGINE = MergeTree\n"
        "PARTITION BY toYYYYMMDD(BatchTime)\n"
        "ORDER BY (Timestamp, DeviceHostName, DeviceEventCategory)\n"
        f"SETTINGS {settings}"
    )


MIGRATIONS: Sequence[Migration] = (Migration(1, "events", (create_table(),)),)
"""The migrations of the component "siem", in order."""
