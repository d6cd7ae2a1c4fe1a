from __future__ import annotations

import pytest

NAME = "events_api.max_events"


async def test_a_setting_is_changed_and_reset_and_the_trail_says_by_whom(admin, auditor):
    listed = {one["name"]: one["value"] for one in (await auditor.get("/settings")).json()}
    assert listed[NAME] == 10_000
    assert listed["external_systems.pin_address"] is True
    changed = (await admin.put(f"/settings/{NAME}", json={"value": 5})).json()
    assert (changed["value"], changed["file_value"], changed["user"]) == (5, 10_000, "admin")
    assert (await auditor.get(f"/settings/{NAME}")).json() == changed
    assert (await auditor.put(f"/settings/{NAME}", json={"value": 6})).status_code == 403
    assert (await admin.post(f"/settings/{NAME}/reset")).json()["value"] == 10_000


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        (NAME, 0, 422),
        (NAME, "many", 422),
        (NAME, None, 422),
        ("events_api.content_type", "text/html", 422),
        ("events_api.history", "x" * 2000, 422),
        ("events_api.nosuch", 1, 404),
        ("port", 1, 404),
    ],
)
async def test_what_cannot_hold_is_refused(admin, name, value, status):
    refused = await admin.put(f"/settings/{name}", json={"value": value})
    assert refused.status_code == status
    assert refused.json()["error"]


async def test_it_holds_at_the_running_server_within_a_second(server, admin):
    from tests.edr.conftest import until

    system = await server.system().accepted()
    await admin.put(f"/settings/{NAME}", json={"value": 5})

    async def refused() -> bool:
        return (await system.get(max_events=6)).status_code == 400

    await until(refused)
