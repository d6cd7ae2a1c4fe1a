"""The tables of resource sets and services; times are µs since the epoch, 0 for never."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

resource_sets = Table(
    "resource_sets",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
)

# `files` is JSON: the name of each file to the id of its content.
set_versions = Table(
    "set_versions",
    metadata,
    Column("set_id", String(36), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("saved_us", BigInteger, nullable=False),
    Column("user", String(128), nullable=False),
    Column("note", String(256), nullable=False),
    Column("settings", Text, nullable=False),
    Column("files", Text, nullable=False),
)

# Contents of files, sealed with a key that is not in the database.
sealed_files = Table(
    "sealed_files",
    metadata,
    Column("set_id", String(36), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

# `reported` is JSON, what the service said last; `alerts` is JSON, the conditions that hold.
services = Table(
    "services",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("kind", String(32), nullable=False),
    Column("set_id", String(36), nullable=False, server_default=""),
    Column("local", Boolean, nullable=False),
    Column("tenant_id", String(36), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("paired_us", BigInteger, nullable=False, server_default="0"),
    Column("disabled_us", BigInteger, nullable=False, server_default="0"),
    Column("debug", Boolean, nullable=False),
    Column("wanted_version", Integer, nullable=False, server_default="0"),
    Column("reloads", Integer, nullable=False, server_default="0"),
    Column("restart_boot", String(36), nullable=False, server_default=""),
    Column("recovery", String(64), nullable=False, server_default=""),
    Column("address", String(64), nullable=False, server_default=""),
    Column("reported_us", BigInteger, nullable=False, server_default="0"),
    Column("reported", Text, nullable=False, server_default=""),
    Column("alerts", Text, nullable=False, server_default="[]"),
    Index("ix_services_set", "set_id"),
)

# Only certificates that are named here are let in; a refused one stays, so that it is known.
certificates = Table(
    "service_certificates",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("service_id", String(36), nullable=False),
    Column("issued_us", BigInteger, nullable=False),
    Column("not_after_us", BigInteger, nullable=False),
    Column("refused_us", BigInteger, nullable=False, server_default="0"),
    Index("ix_service_certificates_service", "service_id"),
)

# Of the secrets of pairing tokens and API tokens only the SHA-256 is kept.
pairing_tokens = Table(
    "pairing_tokens",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("service_id", String(36), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Index("ix_pairing_tokens_service", "service_id"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("user", String(64), nullable=False),
    Column("role", String(32), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("used_us", BigInteger, nullable=False, server_default="0"),
)

audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("time_us", BigInteger, nullable=False),
    Column("user", String(128), nullable=False),
    Column("address", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("details", Text, nullable=False),
)
