"""Resource sets, services with their certificates and tokens, API tokens, the audit trail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    _resource_sets()
    _services()
    _access()
    _audit()


def _resource_sets() -> None:
    op.create_table(
        "resource_sets",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False, unique=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("changed_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "set_versions",
        sa.Column("set_id", sa.String(36), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("saved_us", sa.BigInteger, nullable=False),
        sa.Column("user", sa.String(128), nullable=False),
        sa.Column("note", sa.String(256), nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("files", sa.Text, nullable=False),
    )
    op.create_table(
        "sealed_files",
        sa.Column("set_id", sa.String(36), primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )


def _services() -> None:
    op.create_table(
        "services",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False, unique=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("set_id", sa.String(36), nullable=False, server_default=""),
        sa.Column("local", sa.Boolean, nullable=False),
        sa.Column("tenant_id", sa.String(36), nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("paired_us", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("disabled_us", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("debug", sa.Boolean, nullable=False),
        sa.Column("wanted_version", sa.Integer, nullable=False, server_default="0"),
        sa.Column("reloads", sa.Integer, nullable=False, server_default="0"),
        sa.Column("restart_boot", sa.String(36), nullable=False, server_default=""),
        sa.Column("recovery", sa.String(64), nullable=False, server_default=""),
        sa.Column("address", sa.String(64), nullable=False, server_default=""),
        sa.Column("reported_us", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("reported", sa.Text, nullable=False, server_default=""),
        sa.Column("alerts", sa.Text, nullable=False, server_default="[]"),
    )
    op.create_index("ix_services_set", "services", ["set_id"])


def _access() -> None:
    op.create_table(
        "service_certificates",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("service_id", sa.String(36), nullable=False),
        sa.Column("issued_us", sa.BigInteger, nullable=False),
        sa.Column("not_after_us", sa.BigInteger, nullable=False),
        sa.Column("refused_us", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_index("ix_service_certificates_service", "service_certificates", ["service_id"])
    op.create_table(
        "pairing_tokens",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("service_id", sa.String(36), nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_pairing_tokens_service", "pairing_tokens", ["service_id"])
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
        sa.Column("used_us", sa.BigInteger, nullable=False, server_default="0"),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("time_us", sa.BigInteger, nullable=False),
        sa.Column("user", sa.String(128), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(256), nullable=False),
        sa.Column("details", sa.Text, nullable=False),
    )
