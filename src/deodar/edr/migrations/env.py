"""Run by Alembic: applies the migrations on the connection that `deodar.edr.database` gives it."""

from __future__ import annotations

from alembic import context

from deodar.edr.database import VERSION_TABLE
from deodar.edr.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
