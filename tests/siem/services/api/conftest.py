"""The REST API in this process, asked over ASGI with a token of each role."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from deodar.siem.services.api.app import PREFIX, make
from deodar.siem.services.api_tokens import ApiTokens
from deodar.siem.services.roles import Role


@pytest.fixture
async def rest(known) -> AsyncIterator[httpx.AsyncClient]:
    """A client with an administrator's token; `rest.viewer` and `rest.nobody` are headers."""
    app = make(known)
    tokens = ApiTokens(known.database)
    headers = {
        role: {"authorization": f"Bearer {tokens.make(role.value, role, 1).secret}"}
        for role in Role
    }
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
        base_url=f"https://core{PREFIX}",
        headers=headers[Role.ADMINISTRATOR],
    ) as client:
        client.viewer = headers[Role.VIEWER]
        client.nobody = {"authorization": ""}
        yield client
