from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.edr.users.accounts import Users
from deodar.edr.users.api_tokens import ApiTokens
from deodar.edr.users.roles import Role

if TYPE_CHECKING:
    from deodar.edr.database import Database

PASSWORD = "long enough for anybody"


@pytest.fixture
def users(database: Database) -> Users:
    """Return the users of a database, with an administrator, `root`."""
    made = Users(database)
    made.add("root", Role.ADMINISTRATOR, PASSWORD)
    return made


@pytest.fixture
def tokens(database: Database, users: Users) -> ApiTokens:
    return ApiTokens(database)
