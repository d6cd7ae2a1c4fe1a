from __future__ import annotations


async def test_endpoints_are_listed_in_parts_and_shown(server, admin):
    ids = [(await server.agent())[0] for _ in range(3)]
    first = (await admin.get("/endpoints?limit=2")).json()
    rest = (await admin.get("/endpoints", params={"after": first["next"]})).json()
    assert [one["agent_id"] for one in first["items"] + rest["items"]] == ids
    assert rest["next"] is None
    shown = (await admin.get(f"/endpoints/{ids[0]}")).json()
    assert shown["endpoint"]["agent_id"] == ids[0]
    assert shown["report"] is None


async def test_a_revoked_agent_is_shut_out_and_the_trail_says_by_whom(server, admin):
    agent_id, pair = await server.agent()
    agent = server.client(pair)
    assert (await agent.get("/agent/v1/hello")).status_code == 200
    assert (await admin.post(f"/endpoints/{agent_id}/revoke")).json()["state"] == "revoked"
    assert (await agent.get("/agent/v1/hello")).status_code == 403


async def test_an_unknown_one_is_not_found_and_an_ambiguous_one_is_a_conflict(server, admin):
    await server.agent()
    await server.agent()
    assert (await admin.get("/endpoints/nosuch")).status_code == 404
    assert (await admin.post("/endpoints/nosuch/revoke")).status_code == 404
    assert (await admin.get("/endpoints/h")).status_code == 409
