from __future__ import annotations


async def test_the_trail_is_read_in_parts(rest, service):
    rows = (await rest.get("/audit?limit=2")).json()
    assert len(rows) == 2
    assert rows[0]["number"] > rows[1]["number"]
    older = (await rest.get(f"/audit?limit=2&before={rows[1]['number']}")).json()
    assert older[0]["number"] < rows[1]["number"]
    actions = {row["action"] for row in (await rest.get("/audit")).json()}
    assert {"service created", "resource set added", "api token created"} <= actions
