from __future__ import annotations

from tests.edr.conftest import self_made


async def test_a_request_is_accepted_then_rejected_then_forgotten(server, admin):
    system = server.system()
    assert (await system.get()).status_code == 401
    (pending,) = (await admin.get("/external-systems?state=pending")).json()["items"]
    accepted = await admin.post(
        f"/external-systems/{pending['number']}/accept", json={"name": "The SIEM"}
    )
    assert (accepted.status_code, accepted.json()["state"]) == (200, "accepted")
    assert accepted.json()["name"] == "The SIEM"
    assert (await system.get()).status_code == 200
    assert (await admin.post("/external-systems/siem-1/reject")).json()["state"] == "rejected"
    assert (await system.get()).status_code == 401
    assert (await admin.delete("/external-systems/siem-1")).status_code == 200
    assert (await admin.get("/external-systems")).json() == {"items": [], "next": None}


async def test_a_list_is_read_in_parts(server, admin):
    for number in range(3):
        await server.system(f"siem-{number}", number).get()
    first = (await admin.get("/external-systems?limit=2")).json()
    assert [one["id"] for one in first["items"]] == ["siem-0", "siem-1"]
    second = (await admin.get("/external-systems", params={"after": first["next"]})).json()
    assert ([one["id"] for one in second["items"]], second["next"]) == (["siem-2"], None)
    assert second["items"][0]["digest"] == digest(2)


async def test_what_cannot_be_done_is_told(server, admin, auditor):
    await server.system().get()
    assert (await admin.post("/external-systems/other/reject")).status_code == 404
    assert (await auditor.post("/external-systems/siem-1/reject")).status_code == 403
    wrong = await admin.post("/external-systems/siem-1/accept", json={"nam": "x"})
    assert wrong.status_code == 422
    assert "nam" in wrong.json()["error"]
    assert (await admin.get("/external-systems?after=nonsense")).status_code == 400


def digest(number: int) -> str:
    from deodar.tls.certificates import fingerprint

    return fingerprint(self_made(number).certificate)


async def test_the_list_tells_how_far_behind_a_system_is(server, admin):
    from tests.edr.conftest import until

    await server.put([{"EventType": "process", "Id": f"{n}"} for n in range(5)])
    system = await server.system().accepted()
    await system.get(max_events=2)

    async def noted() -> bool:
        (row,) = (await admin.get("/external-systems")).json()["items"]
        return (row["fetched_events"], row["last_seq"], row["behind_events"]) == (2, 2, 3)

    await until(noted)
