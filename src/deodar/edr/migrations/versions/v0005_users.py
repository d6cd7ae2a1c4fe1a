"""Users with their API tokens, sessions and failed logins, and the chain of the audit trail."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from deodar.edr import audit_chain

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables of users and widen the one of the audit trail."""
    _audit()
    _users()
    _api_tokens()
    _sessions()
    _login_failures()


def _audit() -> None:
    for column in (
        _text("address", sa.String(64)),
        _text("before", sa.Text()),
        _text("after", sa.Text()),
        _text("hash", sa.String(64)),
    ):
        op.add_column("audit", column)
    op.create_table(
        "audit_chain",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    audit_chain.begin(op.get_bind())


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("password", sa.String(256), nullable=False),
        _time("created_us"),
        _time("password_us"),
        _count("disabled_us"),
        _count("last_login_us"),
    )


def _api_tokens() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        _time("created_us"),
        _time("expires_us"),
        _count("used_us"),
    )
    op.create_index("ix_api_tokens_user", "api_tokens", ["user"])


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("client", sa.String(256), nullable=False),
        _time("created_us"),
        _time("used_us"),
    )
    op.create_index("ix_sessions_user", "sessions", ["user"])


def _login_failures() -> None:
    op.create_table(
        "login_failures",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("key", sa.String(128), primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        _time("last_us"),
        _time("until_us"),
    )
    op.create_index("ix_login_failures_last", "login_failures", ["last_us"])


def _time(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def _text(name: str, kind: sa.types.TypeEngine[str]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, server_default="")
