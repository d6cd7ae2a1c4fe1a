from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.edr.users.accounts import Users
from deodar.edr.users.api_tokens import ApiTokens
from deodar.edr.users.roles import Role

if TYPE_CHECKING:
    import httpx
    from tests.edr.conftest import Server

PASSWORD = "long enough for anybody"


def user(server: Server, role: Role, name: str = "") -> str:
    """Make a user of a role and return the secret of an API token of theirs."""
    name = name or role.value.replace("_", "-")
    Users(server.database).add(name, role, PASSWORD)
    return ApiTokens(server.database).make(name, "test", role, 1).secret


def client(server: Server, secret: str = "") -> httpx.AsyncClient:
    """Return a client of the API that shows a token."""
    made = server.client(None)
    made.base_url = f"{server.url}/api/v1"
    if secret:
        made.headers["Authorization"] = f"Bearer {secret}"
    return made


@pytest.fixture
def admin(server: Server) -> httpx.AsyncClient:
    """Return a client of an administrator."""
    return client(server, user(server, Role.ADMINISTRATOR, "admin"))


@pytest.fixture
def auditor(server: Server) -> httpx.AsyncClient:
    """Return a client of an auditor, who may only read."""
    return client(server, user(server, Role.AUDITOR, "auditor"))


@pytest.fixture
def nobody(server: Server) -> httpx.AsyncClient:
    """Return a client that shows nothing."""
    return client(server)
