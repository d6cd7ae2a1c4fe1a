from __future__ import annotations

from tests.edr.api.conftest import PASSWORD, client

from deodar.edr.users.api_tokens import ApiTokens
from deodar.edr.users.roles import Role

OPERATOR = {"name": "operator", "role": "security_officer", "password": PASSWORD}


async def test_a_user_is_made_changed_and_removed(admin):
    made = await admin.post("/users", json=OPERATOR)
    assert (made.status_code, made.json()["role"]) == (201, "security_officer")
    assert "password" not in made.json()
    assert (await admin.post("/users", json=OPERATOR)).status_code == 409
    changed = await admin.patch("/users/operator", json={"role": "auditor", "disabled": True})
    assert changed.json()["role"] == "auditor"
    assert changed.json()["disabled_us"] > 0
    assert (await admin.get("/users/operator")).json() == changed.json()
    assert (await admin.delete("/users/operator")).status_code == 204
    assert (await admin.get("/users/operator")).status_code == 404


async def test_users_are_listed_by_name_in_parts(admin):
    for name in ("third", "operator", "second"):
        await admin.post("/users", json={**OPERATOR, "name": name})
    first = (await admin.get("/users?limit=3")).json()
    assert [one["name"] for one in first["items"]] == ["admin", "operator", "second"]
    rest = (await admin.get("/users", params={"after": first["next"]})).json()
    assert ([one["name"] for one in rest["items"]], rest["next"]) == (["third"], None)


async def test_only_administrators_manage_users(admin, auditor):
    for method, path in (("GET", "/users"), ("DELETE", "/users/admin"), ("GET", "/users/admin")):
        assert (await auditor.request(method, path)).status_code == 403


async def test_the_last_administrator_stays(admin):
    assert (await admin.delete("/users/admin")).status_code == 409
    assert (await admin.patch("/users/admin", json={"role": "auditor"})).status_code == 409


async def test_weak_passwords_and_wrong_names_are_refused(admin):
    assert (await admin.post("/users", json={**OPERATOR, "password": "weak"})).status_code == 422
    assert (await admin.post("/users", json={**OPERATOR, "name": "Oper ator"})).status_code == 422
    assert (await admin.post("/users", json={**OPERATOR, "role": "king"})).status_code == 422


async def test_sessions_and_tokens_of_a_user_are_seen_and_ended(server, admin):
    await admin.post("/users", json=OPERATOR)
    operator = client(server)
    await operator.post("/session", json={"name": "operator", "password": PASSWORD})
    (session,) = (await admin.get("/users/operator/sessions")).json()
    assert session["address"] == "127.0.0.1"
    assert session["client"].startswith("python-httpx")
    assert (await admin.delete("/users/operator/sessions")).status_code == 204
    assert (await operator.get("/session")).status_code == 401
    made = ApiTokens(server.database).make("operator", "x", Role.AUDITOR, 1)
    (token,) = (await admin.get("/users/operator/tokens")).json()
    assert token["id"] == made.token.id
    assert (await admin.delete(f"/users/admin/tokens/{token['id']}")).status_code == 404
    assert (await admin.delete(f"/users/operator/tokens/{token['id']}")).status_code == 204
    assert (await client(server, made.secret).get("/session")).status_code == 401
    for path in ("sessions", "tokens"):
        assert (await admin.get(f"/users/nosuch/{path}")).status_code == 404


async def test_a_locked_user_is_unlocked_and_gets_another_password(server, admin):
    await admin.post("/users", json=OPERATOR)
    operator = client(server)
    for _ in range(6):
        answer = await operator.post("/session", json={"name": "operator", "password": "wrong"})
    assert answer.status_code == 429
    new = PASSWORD + "2"
    put = await admin.put("/users/operator/password", json={"password": new})
    assert put.status_code == 204
    assert (await admin.post("/users/operator/unlock")).status_code == 204
    assert (
        await operator.post("/session", json={"name": "operator", "password": new})
    ).status_code == 200
