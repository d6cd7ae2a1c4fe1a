"""Servers that share a log: its position, void numbers, the nodes, files that all can get."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "log_position",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("term", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        _count("floor"),
        _text("writer", 64),
        _count("since_us"),
    )
    op.create_table(
        "log_voids",
        sa.Column("upto", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("after", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "nodes",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("added_us", sa.BigInteger, nullable=False),
        _count("seen_us"),
        _count("started_us"),
        _count("removed_us"),
        _text("url", 256),
        _text("version", 64),
    )
    op.create_table(
        "file_blocks",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_file_blocks_at_us", "file_blocks", ["at_us"])


def _count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def _text(name: str, length: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=False, server_default="")
