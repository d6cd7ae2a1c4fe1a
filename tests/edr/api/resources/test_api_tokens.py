from __future__ import annotations

import pytest
from tests.edr.api.conftest import PASSWORD, client

from deodar.edr.users.accounts import Users
from deodar.edr.users.roles import Role


@pytest.fixture
async def officer(server):
    """Return a client of a senior security officer who has logged in."""
    Users(server.database).add("officer", Role.SENIOR_SECURITY_OFFICER, PASSWORD)
    made = client(server)
    answer = await made.post("/session", json={"name": "officer", "password": PASSWORD})
    made.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return made


async def test_a_token_is_made_shown_once_used_and_revoked(server, officer):
    made = await officer.post("/tokens", json={"name": "backup", "role": "auditor", "days": 1})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    secret, token = made.json()["secret"], made.json()["token"]
    script = client(server, secret)
    assert (await script.get("/session")).json()["role"] == "auditor"
    (listed,) = (await officer.get("/tokens")).json()
    assert (listed["id"], listed["name"]) == (token["id"], "backup")
    assert "secret" not in listed
    assert (await officer.delete(f"/tokens/{token['id']}")).status_code == 204
    assert (await script.get("/session")).status_code == 401
    assert (await officer.delete(f"/tokens/{token['id']}")).status_code == 404


async def test_a_token_has_no_more_rights_than_its_maker(officer):
    refused = await officer.post("/tokens", json={"name": "x", "role": "administrator"})
    assert refused.status_code == 403
    own = await officer.post("/tokens", json={"name": "x"})
    assert own.json()["token"]["role"] == "senior_security_officer"


async def test_a_token_makes_no_other_token(admin):
    for role in ({}, {"role": "auditor"}):
        assert (await admin.post("/tokens", json={"name": "x", **role})).status_code == 403


@pytest.mark.parametrize("days", [0, -1, 367, 1e300])
async def test_the_end_of_a_token_is_bounded(officer, days):
    refused = await officer.post("/tokens", json={"name": "x", "days": days})
    assert refused.status_code == 422


async def test_nobody_sees_or_ends_anothers_tokens_here(admin, officer):
    assert (await officer.get("/tokens")).json() == []
    (token,) = (await admin.get("/tokens")).json()
    assert (await officer.delete(f"/tokens/{token['id']}")).status_code == 404
