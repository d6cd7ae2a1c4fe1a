from __future__ import annotations

import pytest
from tests.edr.api.conftest import PASSWORD, client, user

from deodar.edr.users.roles import Role

GIVEN = {"name": "operator", "password": PASSWORD}


@pytest.fixture
def operator(server):
    """Return a client of a user who has not logged in."""
    user(server, Role.ADMINISTRATOR, "operator")
    return client(server)


async def logged_in(caller) -> str:
    """Log in and return the CSRF token."""
    answer = await caller.post("/session", json=GIVEN)
    assert answer.status_code == 200, answer.text
    return answer.json()["csrf_token"]


async def test_a_login_sets_a_cookie_that_pages_cannot_read(operator):
    answer = await operator.post("/session", json=GIVEN)
    told = answer.json()
    assert (told["name"], told["role"], told["idle_seconds"]) == ("operator", "administrator", 1800)
    cookie = answer.headers["set-cookie"]
    name, _, rest = cookie.partition("=")
    assert name == "__Host-deodar"
    attributes = {part.strip().lower() for part in rest.split(";")[1:]}
    assert attributes == {"httponly", "path=/", "samesite=strict", "secure"}
    assert rest.split(";")[0] not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    who = (await operator.get("/session")).json()
    assert (who["name"], who["api_token"], who["csrf_token"]) == (
        "operator",
        None,
        told["csrf_token"],
    )


async def test_changes_need_the_csrf_token_and_reading_does_not(operator):
    csrf = await logged_in(operator)
    change = {"json": {"name": "second", "role": "auditor", "password": PASSWORD}}
    assert (await operator.get("/users")).status_code == 200
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": csrf[:-1]}):
        refused = await operator.post("/users", headers=headers, **change)
        assert refused.status_code == 403
        assert "X-CSRF-Token" in refused.json()["error"]
    made = await operator.post("/users", headers={"X-CSRF-Token": csrf}, **change)
    assert made.status_code == 201


async def test_a_logout_ends_the_session_on_the_server(operator):
    headers = {"X-CSRF-Token": await logged_in(operator)}
    kept = dict(operator.cookies)
    answer = await operator.delete("/session", headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "__Host-deodar" not in operator.cookies
    operator.cookies.update(kept)
    assert (await operator.get("/session")).status_code == 401


async def test_the_wrong_password_is_refused_and_then_locked(operator):
    wrong = {"name": "operator", "password": "wrong"}
    for _ in range(5):
        refused = await operator.post("/session", json=wrong)
        assert refused.status_code == 401
        assert "set-cookie" not in refused.headers
    locked = await operator.post("/session", json=GIVEN)
    assert locked.status_code == 429
    assert 0 < int(locked.headers["retry-after"]) <= 30


async def test_ones_own_password_ends_all_sessions(server, operator):
    other = client(server)
    await logged_in(other)
    headers = {"X-CSRF-Token": await logged_in(operator)}
    new = PASSWORD + "2"
    weak = await operator.put(
        "/session/password", headers=headers, json={"old": PASSWORD, "new": "x"}
    )
    assert weak.status_code == 422
    wrong = await operator.put("/session/password", headers=headers, json={"old": new, "new": new})
    assert wrong.status_code == 401
    done = await operator.put(
        "/session/password", headers=headers, json={"old": PASSWORD, "new": new}
    )
    assert done.status_code == 204
    assert (await operator.get("/session")).status_code == 401
    assert (await other.get("/session")).status_code == 401
    assert (
        await operator.post("/session", json={"name": "operator", "password": new})
    ).status_code == 200


async def test_an_api_token_is_no_session(admin):
    told = (await admin.get("/session")).json()
    assert (told["name"], told["csrf_token"]) == ("admin", None)
    assert told["api_token"]
    change = {"old": PASSWORD, "new": PASSWORD + "2"}
    assert (await admin.put("/session/password", json=change)).status_code == 403
    assert (await admin.delete("/session")).status_code == 403
