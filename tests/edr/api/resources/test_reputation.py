from __future__ import annotations

MD5, SHA = "a" * 32, "b" * 64


async def test_lists_are_filled_read_and_deleted(admin):
    lines = [{"hash": MD5}, {"hash": SHA, "verdict": "trusted", "note": "ours"}]
    made = await admin.post("/reputation/local", json={"entries": lines})
    assert (made.status_code, made.json()) == (200, {"entries": 2})
    (feed,) = (await admin.get("/reputation")).json()
    assert (feed["source"], feed["untrusted"], feed["trusted"]) == ("local", 1, 1)
    first = (await admin.get("/reputation/local?limit=1")).json()
    second = (await admin.get("/reputation/local", params={"after": first["next"]})).json()
    assert [one["hash"] for one in [*first["items"], *second["items"]]] == [MD5, SHA]
    told = (await admin.get("/reputation/verdict", params={"hash": SHA.upper()})).json()
    assert (told["verdict"], told["source"]) == ("trusted", "local")
    unknown = (await admin.get("/reputation/verdict", params={"hash": "c" * 64})).json()
    assert unknown["verdict"] == "unknown"
    assert (await admin.delete(f"/reputation/local/{MD5}")).json() == {"entries": 1}
    assert (await admin.delete("/reputation/local")).json() == {"entries": 1}
    assert (await admin.delete("/reputation/local")).status_code == 404


async def test_a_list_can_be_replaced(admin):
    for hash_ in (MD5, SHA):
        body = {"entries": [{"hash": hash_}], "replace": True}
        await admin.post("/reputation/feed-1", json=body)
    listed = (await admin.get("/reputation/feed-1")).json()["items"]
    assert [one["hash"] for one in listed] == [SHA]


async def test_what_is_wrong_is_told(admin, auditor):
    for body in ({"entries": [{"hash": "odd"}]}, {"entries": [{"hash": MD5, "verdict": "x"}]}):
        assert (await admin.post("/reputation/local", json=body)).status_code == 422
    good = {"entries": [{"hash": MD5}]}
    assert (await admin.post("/reputation/a%20b", json=good)).status_code == 422
    assert (await auditor.post("/reputation/local", json=good)).status_code == 403
    assert (await auditor.get("/reputation/verdict?hash=odd")).status_code == 422
