from __future__ import annotations

import pytest

from deodar.edr.users.roles import Role

from .conftest import client, user


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_may_what_it_covers(server, role):
    caller = client(server, user(server, role))
    assert (await caller.get("/endpoints")).status_code == 200
    changed = await caller.post("/external-systems/x/reject")
    assert changed.status_code == (404 if role is Role.ADMINISTRATOR else 403)
    if changed.status_code == 403:
        assert "administrator" in changed.json()["error"]
