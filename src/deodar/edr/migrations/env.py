"""Run by Alembic: applies the migrations on the connection that `deodar.edr.database` gives it."""

from __future__ import annotations

from alembic import context

from deodar.edr.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="deodar_edr_version",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
