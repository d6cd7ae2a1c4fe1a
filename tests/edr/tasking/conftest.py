from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.edr.database import now_us
from deodar.edr.settings import Tasking as Settings
from deodar.edr.tables import endpoints
from deodar.edr.tasking import Tasking

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.edr.database import Database

AGENT, OTHER, REVOKED = "agent-1", "agent-2", "agent-3"


@pytest.fixture
def tasking(database: Database, tmp_path: Path) -> Tasking:
    """Return the tasking of a server with two endpoints, and one that was revoked."""
    with database.write() as connection:
        for name in (AGENT, OTHER, REVOKED):
            state = "revoked" if name == REVOKED else "enrolled"
            row = {"agent_id": name, "digest": name, "state": state, "enrolled_us": now_us()}
            connection.execute(endpoints.insert().values(**row))
    return Tasking(database, tmp_path, "server-1", Settings())
