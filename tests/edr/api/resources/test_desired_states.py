from __future__ import annotations

from deodar.edr.tasking.states import States
from deodar.response.wire import Applied


async def test_a_host_is_isolated_and_released(server, admin):
    agent_id, _ = await server.agent()
    wish = {"settings": {"autoTurnoffTimeoutInSec": 7200}}
    made = await admin.put("/states/h/network_isolation", json=wish)
    assert (made.status_code, made.json()["active"]) == (200, True)
    assert (made.json()["target"], made.json()["user"]) == (agent_id, "admin")
    States(server.database).note(agent_id, Applied("network_isolation", 1, "unsupported", "no"))
    told = (await admin.get("/states/h")).json()
    assert [state["kind"] for state in told["wanted"]] == ["network_isolation"]
    assert [state["outcome"] for state in told["applied"]] == ["unsupported"]
    assert len((await admin.get("/states")).json()) == 1
    cleared = await admin.delete(f"/states/{agent_id}/network_isolation")
    assert cleared.json()["settings"] is None
    assert (await admin.get("/states")).json() == []


async def test_prevention_may_be_for_all(admin):
    wish = {"settings": {"objects": [{"file": {"md5": "a" * 32}}]}}
    assert (await admin.put("/states/all/prevention", json=wish)).status_code == 200
    (state,) = (await admin.get("/states/all")).json()["wanted"]
    assert state["settings"] == wish["settings"]


async def test_what_cannot_be_wanted_is_told(server, admin, auditor):
    await server.agent()
    good = {"settings": {}}
    bad = {"settings": {"autoTurnoffTimeoutInSec": 1}}
    assert (await admin.put("/states/nobody/network_isolation", json=good)).status_code == 404
    assert (await admin.put("/states/all/network_isolation", json=good)).status_code == 422
    assert (await admin.put("/states/h/odd", json=good)).status_code == 422
    answer = await admin.put("/states/h/network_isolation", json=bad)
    assert answer.status_code == 422
    assert "autoTurnoffTimeoutInSec" in answer.json()["error"]
    assert (await auditor.put("/states/h/network_isolation", json=good)).status_code == 403
    assert (await auditor.delete("/states/h/network_isolation")).status_code == 403
