"""Policies with their earlier versions, and what an endpoint reported when it last synchronized."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables of policies and widen the one of endpoints."""
    _policies()
    _policy_versions()
    _endpoints()


def _policies() -> None:
    op.create_table(
        "policies",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("settings", sa.Text, nullable=True),
        sa.Column("updated_us", sa.BigInteger, nullable=False),
    )


def _policy_versions() -> None:
    op.create_table(
        "policy_versions",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("settings", sa.Text, nullable=True),
        sa.Column("made_us", sa.BigInteger, nullable=False),
        sa.Column("user", sa.String(128), nullable=False),
    )


def _endpoints() -> None:
    for column in (
        _count("synchronized_us"),
        _count("policy_version"),
        _text("stopped_tasks", sa.String(256)),
        _text("report", sa.Text()),
    ):
        op.add_column("endpoints", column)


def _count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def _text(name: str, kind: sa.types.TypeEngine[str]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, server_default="")
