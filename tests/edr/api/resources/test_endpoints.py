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


async def test_endpoints_are_found_moved_tagged_and_counted(server, admin, auditor):
    ids = [(await server.agent())[0] for _ in range(2)]
    await admin.post("/groups", json={"name": "servers"})
    await admin.put(f"/endpoints/{ids[0]}/group", json={"group": "servers"})
    tagged = await admin.post(f"/endpoints/{ids[1]}/tags", json={"add": ["dmz", "web"]})
    assert tagged.json()["tags"] == ["dmz", "web"]
    taken = await admin.post(f"/endpoints/{ids[1]}/tags", json={"remove": ["web"]})
    assert taken.json()["tags"] == ["dmz"]

    async def found(query: str) -> list[str]:
        return [
            one["agent_id"] for one in (await auditor.get(f"/endpoints?{query}")).json()["items"]
        ]

    assert await found("group=servers") == ids[:1]
    assert await found("tag=dmz") == ids[1:]
    assert await found("presence=never") == ids
    assert await found("presence=online") == []
    assert await found("name=h&drifts=false") == ids
    assert (await auditor.get("/endpoints?presence=asleep")).status_code == 422
    counted = (await auditor.get("/endpoints/counts")).json()
    assert counted == {"online": 0, "offline": 0, "never": 2, "revoked": 0}
    assert (await auditor.post(f"/endpoints/{ids[0]}/tags", json={})).status_code == 403
    odd = await admin.post(f"/endpoints/{ids[0]}/tags", json={"add": ["a b"]})
    assert odd.status_code == 409
    missing = await admin.put(f"/endpoints/{ids[0]}/group", json={"group": "nosuch"})
    assert missing.status_code == 404


async def test_a_revocation_may_tell_why(server, admin):
    agent_id, _ = await server.agent()
    revoked = await admin.post(f"/endpoints/{agent_id}/revoke", json={"reason": "stolen"})
    assert (revoked.json()["presence"], revoked.json()["revoked_reason"]) == ("revoked", "stolen")
