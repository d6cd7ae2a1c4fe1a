"""Makes the shared engine known to the tests of the store."""

from __future__ import annotations

from tests.store.fixtures import deodar_store_engine, table_name

__all__ = ["deodar_store_engine", "table_name"]
