from __future__ import annotations

import pytest


async def test_groups_are_made_shown_and_removed(server, admin, auditor):
    made = await admin.post("/groups", json={"name": "servers", "note": "racks"})
    assert (made.status_code, made.json()["note"]) == (201, "racks")
    assert [one["name"] for one in (await auditor.get("/groups")).json()] == ["default", "servers"]
    assert (await auditor.get("/groups/servers")).json()["endpoints"] == 0
    assert (await auditor.delete("/groups/servers")).status_code == 403
    agent_id, _ = await server.agent()
    moved = await admin.put(f"/endpoints/{agent_id}/group", json={"group": "servers"})
    assert moved.json()["group_name"] == "servers"
    assert (await admin.delete("/groups/servers")).status_code == 409
    await admin.put(f"/endpoints/{agent_id}/group", json={"group": "default"})
    assert (await admin.delete("/groups/servers")).status_code == 204
    assert (await admin.get("/groups/servers")).status_code == 404


@pytest.mark.parametrize(
    ("wish", "status"),
    [({"name": "A b"}, 409), ({"name": "default"}, 409), ({}, 422), ({"name": "x" * 65}, 422)],
)
async def test_what_cannot_be_made_is_refused(admin, wish, status):
    assert (await admin.post("/groups", json=wish)).status_code == status


async def test_a_groups_policy_lies_over_the_default_one(admin, auditor):
    await admin.post("/groups", json={"name": "servers"})
    base = {"KATAEDR": {"RequestTimeout": 5, "SynchronizationPeriod": 7}}
    await admin.put("/policy", json={"settings": base})
    own = {"KATAEDR": {"RequestTimeout": 9}}
    put = await admin.put("/policy?group=servers", json={"settings": own})
    assert (put.json()["policy"]["name"], put.json()["policy"]["version"]) == ("servers", 2)
    assert (await auditor.get("/policy?group=servers")).json()["settings"] == own
    whole = (await auditor.get("/policy?group=servers&effective=true")).json()
    assert whole["settings"] == {"KATAEDR": {"RequestTimeout": 9, "SynchronizationPeriod": 7}}
    assert (await auditor.get("/groups/servers")).json()["policy_version"] == 2
    assert (await admin.delete("/policy?group=servers")).status_code == 200
    versions = (await auditor.get("/policy/versions?group=servers")).json()
    assert [one["version"] for one in versions] == [3, 2]
    missing = await admin.put("/policy?group=nosuch", json={"settings": own})
    assert missing.status_code == 404


async def test_a_token_may_be_for_a_group(server, admin):
    assert (await admin.post("/enrolment-tokens", json={"group": "nosuch"})).status_code == 404
    await admin.post("/groups", json={"name": "servers"})
    assert (await admin.post("/enrolment-tokens", json={"group": "servers"})).status_code == 201
