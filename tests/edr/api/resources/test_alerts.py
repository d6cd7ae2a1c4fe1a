from __future__ import annotations

from deodar.edr.alerts import Alerts, NewAlert


async def test_alerts_are_listed_the_newest_first_in_parts(server, auditor):
    for technology in ("yara", "ids", "yara"):
        Alerts(server.database).add(
            NewAlert(
                event_us=5,
                importance="high",
                source="external",
                technology=technology,  # type: ignore[arg-type]
                object_type="file",
                object={"fileName": "a"},
                detection={},
                details={},
            )
        )
    first = (await auditor.get("/alerts?limit=2")).json()
    assert [alert["number"] for alert in first["items"]] == [3, 2]
    second = (await auditor.get("/alerts", params={"after": first["next"]})).json()
    assert ([alert["number"] for alert in second["items"]], second["next"]) == ([1], None)
    only = (await auditor.get("/alerts?technology=ids")).json()["items"]
    assert [alert["technology"] for alert in only] == ["ids"]
    assert (await auditor.get("/alerts?technology=odd")).status_code == 422
    assert (await auditor.get("/alerts?after=odd")).status_code == 400


async def test_nobody_sees_alerts(nobody):
    assert (await nobody.get("/alerts")).status_code == 401
