from __future__ import annotations

import asyncio
import gzip

from tests.edr.api.conftest import client

from deodar.edr.users.accounts import Users
from deodar.edr.users.api_tokens import ApiTokens

JSON = {"Content-Type": "application/json"}


async def test_nobody_is_let_in_without_a_good_token(server, admin, nobody):
    assert (await admin.get("/status")).status_code == 200
    refused = await nobody.get("/status")
    assert refused.status_code == 401
    assert "Bearer" in refused.json()["error"]
    for secret in (
        "x",
        "deodar-api:x",
        "deodar-api:" + "x" * 500,
        "deodar-api:\N{DEGREE SIGN}",
    ):
        headers = {"Authorization": f"Bearer {secret}".encode()}
        assert (await nobody.get("/status", headers=headers)).status_code == 401


async def test_no_answer_is_kept_on_the_way(admin, nobody):
    for answer in (await admin.get("/status"), await nobody.get("/status")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_strangers_learn_of_no_path_and_send_no_body(nobody):
    for method, path in (
        ("GET", "/nosuch"),
        ("PUT", "/session"),
        ("DELETE", "/users/"),
        ("GET", "/"),
    ):
        assert (await nobody.request(method, path)).status_code == 401
    large = await nobody.put("/policy", content=b" " * (1 << 20), headers=JSON)
    assert large.status_code == 401
    assert (await nobody.get("/openapi.json")).status_code == 200


async def test_a_revoked_token_ends_at_once(server, admin):
    made = ApiTokens(server.database).list("admin")
    ApiTokens(server.database).revoke(made[0].id)
    assert (await admin.get("/status")).status_code == 401


async def test_a_disabled_user_has_no_token(server, admin, auditor):
    Users(server.database).change("auditor", disabled=True)
    assert (await auditor.get("/status")).status_code == 401
    Users(server.database).change("auditor", disabled=False)
    assert (await auditor.get("/status")).status_code == 200


async def test_bodies_are_bounded_and_may_be_packed(server, admin, nobody):
    path = "/external-systems/x/accept"
    for caller, where, most in ((admin, path, 1 << 20), (nobody, "/session", 16 << 10)):
        large = await caller.post(where, content=b" " * (most + 1), headers=JSON)
        assert large.status_code == 413
        assert (await caller.post(where, content=b" " * most, headers=JSON)).status_code < 500
    packed = gzip.compress(b'{"name": "x"}')
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert (await admin.post(path, content=packed, headers=headers)).status_code == 404
    bomb = gzip.compress(b" " * (64 << 20))
    assert (await admin.post(path, content=bomb, headers=headers)).status_code == 413
    other = {**JSON, "Content-Encoding": "br"}
    assert (await admin.post(path, content=b"x", headers=other)).status_code == 415


async def test_a_token_of_another_server_is_nobody(server, admin):
    stranger = client(server, "deodar-api:" + "A" * 43)
    assert (await stranger.get("/status")).status_code == 401


async def test_strangers_who_send_slowly_hold_nobody_up(server, admin):
    """Forty of them begin a body and do not go on; a user's request goes through all the same."""
    ready = asyncio.Event()

    async def slowly():
        yield b"{"
        await ready.wait()

    async def stranger() -> None:
        await client(server).post("/session", content=slowly(), headers=JSON)

    strangers = [asyncio.create_task(stranger()) for _ in range(40)]
    try:
        answer = await asyncio.wait_for(admin.post("/external-systems/x/reject", json={}), 10)
        assert answer.status_code == 404
    finally:
        ready.set()
        await asyncio.gather(*strangers)
