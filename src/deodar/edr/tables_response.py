"""The tables of response: tasks, desired states, fetched files, alerts, scans, rules, reputation.

They belong to the same metadata as those in `deodar.edr.tables`; times are µs likewise.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text, UniqueConstraint

from deodar.edr.tables import metadata


def _us(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _text(name: str, length: int | None = None) -> Column[str]:
    kind = Text if length is None else String(length)
    return Column(name, kind, nullable=False, server_default="")


# One row: the last number that was given to a task or to a change of a desired state.
tasking_numbers = Table(
    "tasking_numbers",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

# `parameters` and `result` are JSON.
tasks = Table(
    "tasks",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("agent_id", String(36), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("parameters", Text, nullable=False),
    Column("state", String(16), nullable=False),
    _text("user", 256),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    _us("delivered_us"),
    _us("started_us"),
    _us("ended_us"),
    _us("removed_us"),
    _text("reason"),
    _text("result"),
    Index("ix_tasks_agent", "agent_id", "number"),
    Index("ix_tasks_number", "number"),
    Index("ix_tasks_state", "state", "expires_us"),
)

# `target` is an agent's id or "all"; `settings` is JSON, null when nothing is wanted any more.
desired_states = Table(
    "desired_states",
    metadata,
    Column("target", String(36), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("settings", Text, nullable=True),
    Column("active", Integer, nullable=False),
    _text("user", 256),
    Column("made_us", BigInteger, nullable=False),
    _us("ends_us"),
    Index("ix_desired_states_number", "number"),
)

applied_states = Table(
    "applied_states",
    metadata,
    Column("agent_id", String(36), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("target", String(16), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("outcome", String(16), nullable=False),
    _text("reason"),
    Column("told_us", BigInteger, nullable=False),
)

fetched_files = Table(
    "fetched_files",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("task_id", String(64), nullable=False, unique=True),
    Column("agent_id", String(36), nullable=False),
    Column("path", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Index("ix_fetched_files_sha256", "sha256"),
    sqlite_autoincrement=True,  # a number is never given again
)

# `content` is JSON: what the alert says of its object, its detection and its details.
alerts = Table(
    "alerts",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("event_us", BigInteger, nullable=False),
    Column("detect_us", BigInteger, nullable=False),
    Column("importance", String(8), nullable=False),
    Column("source", String(16), nullable=False),
    Column("technology", String(16), nullable=False),
    Column("object_type", String(8), nullable=False),
    Column("content", Text, nullable=False),
    Index("ix_alerts_technology", "technology", "number"),
    sqlite_autoincrement=True,  # a number is never given again
)

yara_rules = Table(
    "yara_rules",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("text", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("rules", Integer, nullable=False),
    _text("user", 256),
    Column("added_us", BigInteger, nullable=False),
)

# `rules` is JSON: the names of the rules that matched.
scans = Table(
    "scans",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("system", String(128), nullable=False),
    Column("instance", String(128), nullable=False),
    Column("scan_id", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    _text("name", 256),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    _us("ended_us"),
    _text("rules"),
    _text("reason"),
    UniqueConstraint("system", "instance", "scan_id", name="uq_scans_id"),
    Index("ix_scans_state", "state", "number"),
    sqlite_autoincrement=True,  # a number is never given again
)

# Of several sources that know a file the worst verdict counts.
reputation = Table(
    "reputation",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("source", String(64), primary_key=True),
    Column("verdict", String(16), nullable=False),
    _us("expires_us"),
    Column("added_us", BigInteger, nullable=False),
    _text("note", 256),
    Index("ix_reputation_source", "source"),
)
