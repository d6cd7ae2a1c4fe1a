"""The tables of control data: external systems, endpoints, policies, tokens, settings, audit.

Times are µs since the epoch in 64-bit integers, so that SQLite and PostgreSQL keep the same.
The migrations in ``deodar.edr.migrations`` make these tables; a test holds both equal.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

# One row for each address and certificate; its id is what the system calls itself.
external_systems = Table(
    "external_systems",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(128), nullable=False),
    Column("ip", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("name", String(256), nullable=False, server_default=""),
    Column("subject", String(256), nullable=False, server_default=""),
    Column("not_before_us", BigInteger, nullable=False),
    Column("not_after_us", BigInteger, nullable=False),
    Column("first_seen_us", BigInteger, nullable=False),
    Column("last_seen_us", BigInteger, nullable=False),
    Column("last_fetch_us", BigInteger, nullable=False, server_default="0"),
    Column("decided_us", BigInteger, nullable=False, server_default="0"),
    # The last sequence number that was scanned for it, and how many events it got in all.
    Column("last_seq", BigInteger, nullable=False, server_default="0"),
    Column("fetched_events", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("ip", "digest", name="uq_external_systems_ip_digest"),
    Index("ix_external_systems_id", "id"),
    Index("ix_external_systems_state", "state", "last_seen_us"),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("agent_id", String(36), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("name", String(256), nullable=False, server_default=""),
    Column("os_name", String(256), nullable=False, server_default=""),
    Column("os_version", String(256), nullable=False, server_default=""),
    Column("machine_id", String(128), nullable=False, server_default=""),
    Column("agent_version", String(64), nullable=False, server_default=""),
    Column("address", String(64), nullable=False, server_default=""),
    Column("enrolled_us", BigInteger, nullable=False),
    Column("last_contact_us", BigInteger, nullable=False, server_default="0"),
    # When the agent last synchronized, and what it said then; `report` is JSON.
    Column("synchronized_us", BigInteger, nullable=False, server_default="0"),
    Column("policy_version", BigInteger, nullable=False, server_default="0"),
    Column("stopped_tasks", String(256), nullable=False, server_default=""),
    Column("report", Text, nullable=False, server_default=""),
    Column("group_name", String(64), nullable=False, server_default="default"),
    # Each between two commas: ",web,dmz,"
    Column("tags", String(2048), nullable=False, server_default=""),
    # The certificate's end; and a renewed one's, until the agent has shown it once.
    Column("not_after_us", BigInteger, nullable=False, server_default="0"),
    Column("next_digest", String(64), nullable=True),
    Column("next_not_after_us", BigInteger, nullable=False, server_default="0"),
    Column("renewed_us", BigInteger, nullable=False, server_default="0"),
    Column("revoked_us", BigInteger, nullable=False, server_default="0"),
    Column("revoked_reason", String(256), nullable=False, server_default=""),
    # The agent that was enrolled on the same host before; "" for none.
    Column("replaces", String(36), nullable=False, server_default=""),
    Index("ix_endpoints_next_digest", "next_digest", unique=True),
    Index("ix_endpoints_order", "enrolled_us", "agent_id"),
    Index("ix_endpoints_group", "group_name"),
    Index("ix_endpoints_machine", "machine_id"),
)

endpoint_groups = Table(
    "endpoint_groups",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("note", String(256), nullable=False, server_default=""),
    Column("created_us", BigInteger, nullable=False),
)

# What agents must do now; a cleared policy has no settings (null), but keeps its version.
policies = Table(
    "policies",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("settings", Text, nullable=True),
    Column("updated_us", BigInteger, nullable=False),
)

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("settings", Text, nullable=True),
    Column("made_us", BigInteger, nullable=False),
    Column("user", String(128), nullable=False),
)

enrolment_tokens = Table(
    "enrolment_tokens",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("note", String(256), nullable=False, server_default=""),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("used_us", BigInteger, nullable=True),
    Column("agent_id", String(36), nullable=True),
    Column("group_name", String(64), nullable=False, server_default="default"),
)

# The texts behind the filter digests of continuation tokens.
filters = Table(
    "filters",
    metadata,
    Column("system", String(128), primary_key=True),
    Column("digest", String(32), primary_key=True),
    Column("text", Text, nullable=False),
    Column("used_us", BigInteger, nullable=False),
)

# What was changed of the settings while servers run; `value` is JSON.
settings = Table(
    "settings",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("value", Text, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
    Column("user", String(128), nullable=False),
)

# Each row's hash covers the row before it; `deodar.edr.audit_chain` says how.
audit = Table(
    "audit",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("time_us", BigInteger, nullable=False),
    Column("user", String(128), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("details", Text, nullable=False, server_default=""),
    Column("address", String(64), nullable=False, server_default=""),
    Column("before", Text, nullable=False, server_default=""),
    Column("after", Text, nullable=False, server_default=""),
    Column("hash", String(64), nullable=False, server_default=""),
)

# One row: the last number and hash of the audit trail. Writers hold it one after another.
audit_chain = Table(
    "audit_chain",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)
