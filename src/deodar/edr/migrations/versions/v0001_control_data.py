"""External systems, endpoints, enrolment tokens, filters of continuation tokens, audit."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    _external_systems()
    _endpoints()
    _enrolment_tokens()
    _filters()
    _audit()


def _text(name: str, length: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=False, server_default="")


def _count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def _key(name: str, length: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), primary_key=True)


def _must(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _external_systems() -> None:
    op.create_table(
        "external_systems",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        _must("id", sa.String(128)),
        _must("ip", sa.String(64)),
        _must("digest", sa.String(64)),
        _must("state", sa.String(16)),
        _text("name", 256),
        _text("subject", 256),
        _must("not_before_us", sa.BigInteger),
        _must("not_after_us", sa.BigInteger),
        _must("first_seen_us", sa.BigInteger),
        _must("last_seen_us", sa.BigInteger),
        _count("last_fetch_us"),
        _count("decided_us"),
        sa.UniqueConstraint("ip", "digest", name="uq_external_systems_ip_digest"),
    )
    op.create_index("ix_external_systems_id", "external_systems", ["id"])
    op.create_index("ix_external_systems_state", "external_systems", ["state", "last_seen_us"])


def _endpoints() -> None:
    op.create_table(
        "endpoints",
        _key("agent_id", 36),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        _must("state", sa.String(16)),
        _text("name", 256),
        _text("os_name", 256),
        _text("os_version", 256),
        _text("machine_id", 128),
        _text("agent_version", 64),
        _text("address", 64),
        _must("enrolled_us", sa.BigInteger),
        _count("last_contact_us"),
    )


def _enrolment_tokens() -> None:
    op.create_table(
        "enrolment_tokens",
        _key("hash", 64),
        _text("note", 256),
        _must("created_us", sa.BigInteger),
        _must("expires_us", sa.BigInteger),
        sa.Column("used_us", sa.BigInteger, nullable=True),
        sa.Column("agent_id", sa.String(36), nullable=True),
    )


def _filters() -> None:
    op.create_table(
        "filters",
        _key("system", 128),
        _key("digest", 32),
        _must("text", sa.Text),
        _must("used_us", sa.BigInteger),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        _must("time_us", sa.BigInteger),
        _must("user", sa.String(128)),
        _must("action", sa.String(64)),
        _must("subject", sa.String(256)),
        sa.Column("details", sa.Text, nullable=False, server_default=""),
    )
