"""Run by Alembic: applies the migrations on the connection that `deodar.kit.database` gives it."""

from __future__ import annotations

from alembic import context

from deodar.siem.services.database import VERSION_TABLE
from deodar.siem.services.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
