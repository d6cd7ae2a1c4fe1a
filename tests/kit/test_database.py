"""What every program's database does; tests/edr/test_database.py has the rest, with its tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from deodar.kit.database import Database, Schema, empty_database, now_us, sqlite_url
from deodar.kit.errors import DeodarError

ENV = """
from alembic import context
context.configure(connection=context.config.attributes["connection"], version_table="v")
with context.begin_transaction():
    context.run_migrations()
"""
FIRST = """
import sqlalchemy as sa
from alembic import op
revision = "0001"
down_revision = None
def upgrade():
    op.create_table("things", sa.Column("name", sa.String(8), primary_key=True))
"""


class Failed(DeodarError):  # noqa: N818
    pass


class NotStorable(DeodarError):  # noqa: N818
    pass


@pytest.fixture
def schema(tmp_path: Path) -> Schema:
    """A program's tables, with migrations in a folder of the test's own."""
    migrations = tmp_path / "migrations"
    (migrations / "versions").mkdir(parents=True)
    (migrations / "env.py").write_text(ENV)
    (migrations / "versions" / "v0001.py").write_text(FIRST)
    return Schema(str(migrations), "0001", "v", "program.toml", Failed, NotStorable)


def test_it_is_made_with_its_tables_and_opened_again_with_what_is_in_them(tmp_path, schema):
    for expected in (1, 2):
        opened = Database(sqlite_url(tmp_path / "db"), schema)
        with opened.write() as connection:
            connection.execute(text("INSERT INTO things VALUES (:name)"), {"name": str(now_us())})
        with opened.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM things")).scalar() == expected
        opened.close()
    assert (tmp_path / "db").stat().st_mode & 0o077 == 0


def test_options_reach_every_connection(tmp_path, schema):
    opened = Database(sqlite_url(tmp_path / "db"), schema, {"program_key": b"k"})
    with opened.read() as connection:
        assert connection.get_execution_options()["program_key"] == b"k"
    opened.close()


def test_errors_are_the_programs_own(tmp_path, schema):
    with pytest.raises(Failed, match="cannot open"):
        Database(sqlite_url(tmp_path / "absent" / "db"), schema)
    with pytest.raises(Failed, match="no SQLAlchemy URL"):
        Database("nonsense", schema)
    opened = Database(sqlite_url(tmp_path / "db"), schema)
    with pytest.raises(NotStorable, match="too big"), opened.read() as connection:
        connection.execute(text("SELECT zeroblob(2000000000)"))
    with pytest.raises(Failed, match="failed"), opened.read() as connection:
        connection.execute(text("SELECT * FROM absent"))
    opened.close()


def test_only_an_empty_database_is_filled(tmp_path, schema):
    url = sqlite_url(tmp_path / "db")
    with empty_database(url, schema, "0001") as connection:
        connection.execute(text("INSERT INTO things VALUES ('a')"))
    with pytest.raises(Failed, match="must be empty"), empty_database(url, schema, "0001"):
        pass
