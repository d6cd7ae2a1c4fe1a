from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from deodar.siem.services.database import HEAD, VERSION_TABLE
from deodar.siem.services.tables import metadata


def test_the_migrations_make_the_tables_that_the_code_uses(known):
    with known.database.read() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD


def test_the_head_that_the_code_expects_is_the_last_migration():
    config = Config()
    config.set_main_option("script_location", "deodar.siem.services:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD
