"""Response: tasks, desired states, fetched files, alerts, scans, YARA rules, reputation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables of response."""
    _tasking_numbers()
    _tasks()
    _desired_states()
    _applied_states()
    _fetched_files()
    _alerts()
    _yara_rules()
    _scans()
    _reputation()


def _tasking_numbers() -> None:
    table = op.create_table(
        "tasking_numbers",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    # Its one row is there from the beginning, so that servers need not agree on who makes it.
    op.bulk_insert(table, [{"name": "tasking", "number": 0}])


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("agent_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("user", sa.String(256), nullable=False, server_default=""),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
        sa.Column("delivered_us", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("started_us", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("ended_us", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("removed_us", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("result", sa.Text, nullable=False, server_default=""),
    )
    op.create_index("ix_tasks_agent", "tasks", ["agent_id", "number"])
    op.create_index("ix_tasks_number", "tasks", ["number"])
    op.create_index("ix_tasks_state", "tasks", ["state", "expires_us"])


def _desired_states() -> None:
    op.create_table(
        "desired_states",
        sa.Column("target", sa.String(36), primary_key=True),
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("settings", sa.Text, nullable=True),
        sa.Column("active", sa.Integer, nullable=False),
        sa.Column("user", sa.String(256), nullable=False, server_default=""),
        sa.Column("made_us", sa.BigInteger, nullable=False),
        sa.Column("ends_us", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_index("ix_desired_states_number", "desired_states", ["number"])


def _applied_states() -> None:
    op.create_table(
        "applied_states",
        sa.Column("agent_id", sa.String(36), primary_key=True),
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("target", sa.String(16), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("told_us", sa.BigInteger, nullable=False),
    )


def _fetched_files() -> None:
    op.create_table(
        "fetched_files",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("task_id", sa.String(64), nullable=False, unique=True),
        sa.Column("agent_id", sa.String(36), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("received_us", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_fetched_files_sha256", "fetched_files", ["sha256"])


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("event_us", sa.BigInteger, nullable=False),
        sa.Column("detect_us", sa.BigInteger, nullable=False),
        sa.Column("importance", sa.String(8), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("technology", sa.String(16), nullable=False),
        sa.Column("object_type", sa.String(8), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alerts_technology", "alerts", ["technology", "number"])


def _yara_rules() -> None:
    op.create_table(
        "yara_rules",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("rules", sa.Integer, nullable=False),
        sa.Column("user", sa.String(256), nullable=False, server_default=""),
        sa.Column("added_us", sa.BigInteger, nullable=False),
    )


def _scans() -> None:
    op.create_table(
        "scans",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("system", sa.String(128), nullable=False),
        sa.Column("instance", sa.String(128), nullable=False),
        sa.Column("scan_id", sa.String(128), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("name", sa.String(256), nullable=False, server_default=""),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("ended_us", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("rules", sa.Text, nullable=False, server_default=""),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.UniqueConstraint("system", "instance", "scan_id", name="uq_scans_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_scans_state", "scans", ["state", "number"])


def _reputation() -> None:
    op.create_table(
        "reputation",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("source", sa.String(64), primary_key=True),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("added_us", sa.BigInteger, nullable=False),
        sa.Column("note", sa.String(256), nullable=False, server_default=""),
    )
    op.create_index("ix_reputation_source", "reputation", ["source"])
