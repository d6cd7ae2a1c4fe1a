"""The one embedded engine that a test process may have: chDB allows a single folder per process."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.store.chdb_engine import ChdbEngine

_shared: list[ChdbEngine] = []  # by whichever conftest the fixture is asked for, it is the same


@pytest.fixture(scope="session")
def deodar_store_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChdbEngine]:
    """The engine shared by all tests of this process; make your own tables in it."""
    from deodar.store.chdb_engine import ChdbEngine  # here: machines for the agent have no engine

    if not _shared:
        _shared.append(ChdbEngine(tmp_path_factory.mktemp("store")))
    yield _shared[0]
    _shared[0].close()


@pytest.fixture
def table_name() -> str:
    """A table name that no other test uses."""
    return f"t_{uuid4().hex[:12]}"
