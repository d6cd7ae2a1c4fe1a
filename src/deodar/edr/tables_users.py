"""The tables of users: accounts, API tokens, sessions, failed logins.

They belong to the same metadata as those in `deodar.edr.tables`; times are µs likewise.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from deodar.edr.tables import metadata

users = Table(
    "users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(32), nullable=False),
    Column("password", String(256), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("password_us", BigInteger, nullable=False),
    Column("disabled_us", BigInteger, nullable=False, server_default="0"),
    Column("last_login_us", BigInteger, nullable=False, server_default="0"),
)

# Of the secrets of API tokens and sessions only the SHA-256 is kept.
api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("user", String(64), nullable=False),
    Column("name", String(128), nullable=False),
    Column("role", String(32), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("used_us", BigInteger, nullable=False, server_default="0"),
    Index("ix_api_tokens_user", "user"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("user", String(64), nullable=False),
    Column("address", String(64), nullable=False),
    Column("client", String(256), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("used_us", BigInteger, nullable=False),
    Index("ix_sessions_user", "user"),
)

# Failed logins by user and by address: how many in a row, and until when more are refused.
login_failures = Table(
    "login_failures",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
    Index("ix_login_failures_last", "last_us"),
)
