from __future__ import annotations

import pytest

SETTINGS = {
    "KATAEDR": {"SynchronizationPeriod": 7},
    "Application": {"UseProxy": True, "ProxyServer": "u:hidden@192.0.2.3:3128"},
}


async def test_a_policy_is_set_shown_without_secrets_and_cleared(admin, auditor):
    assert (await auditor.get("/policy")).status_code == 404
    put = await admin.put("/policy", json={"settings": SETTINGS})
    assert put.json()["policy"]["version"] == 1
    shown = (await auditor.get("/policy")).json()
    assert (shown["user"], shown["settings"]["KATAEDR"]) == ("admin", SETTINGS["KATAEDR"])
    assert "hidden" not in str(shown)
    again = await admin.put("/policy", json={"settings": shown["settings"]})  # *** is the old one
    assert again.json()["policy"]["version"] == 1
    assert (await admin.delete("/policy")).json()["version"] == 2
    assert (await admin.delete("/policy")).status_code == 409
    versions = (await auditor.get("/policy/versions")).json()
    assert [one["version"] for one in versions] == [2, 1]
    assert (await auditor.get("/policy/versions/1")).json()["settings"] is not None
    assert (await auditor.get("/policy/versions/9")).status_code == 404
    assert (await auditor.delete("/policy")).status_code == 403


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"KATAEDR": {"SynchronizationPeriod": 99}}, 422),
        ({"KATAEDR": {"NoSuch": 1}}, 422),
        ({"KATAEDR": {"Port": 2**70}}, 422),
        ({"KATAEDR": 5}, 422),
        ({}, 409),
    ],
)
async def test_what_agents_would_refuse_is_refused_here(admin, wanted, status):
    refused = await admin.put("/policy", json={"settings": wanted})
    assert (refused.status_code, list(refused.json())) == (status, ["error"])
