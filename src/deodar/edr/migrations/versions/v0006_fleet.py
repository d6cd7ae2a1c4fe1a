"""Groups and tags of endpoints, renewed certificates, reasons of revocation, known hosts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table of groups, with the one that is always there, and widen the others."""
    groups = op.create_table(
        "endpoint_groups",
        sa.Column("name", sa.String(64), primary_key=True),
        _text("note", 256),
        sa.Column("created_us", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(groups, [{"name": "default", "note": "", "created_us": 0}])
    op.add_column("enrolment_tokens", _group())
    for column in (
        _group(),
        _text("tags", 2048),
        _count("not_after_us"),
        sa.Column("next_digest", sa.String(64), nullable=True),
        _count("next_not_after_us"),
        _count("renewed_us"),
        _count("revoked_us"),
        _text("revoked_reason", 256),
        _text("replaces", 36),
    ):
        op.add_column("endpoints", column)
    op.create_index("ix_endpoints_next_digest", "endpoints", ["next_digest"], unique=True)
    op.create_index("ix_endpoints_order", "endpoints", ["enrolled_us", "agent_id"])
    op.create_index("ix_endpoints_group", "endpoints", ["group_name"])
    op.create_index("ix_endpoints_machine", "endpoints", ["machine_id"])


def _group() -> sa.Column[Any]:
    return sa.Column("group_name", sa.String(64), nullable=False, server_default="default")


def _count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def _text(name: str, length: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=False, server_default="")
