from __future__ import annotations

from tests.siem.services.conftest import SET, report

from deodar.siem.services.wire import LogLine


async def test_from_a_set_to_a_service_at_work(rest, known):
    assert (await rest.put("/resource-sets/branch", json={"settings": SET})).status_code == 200
    wish = {"name": "branch-1", "resource_set": "branch"}
    made = await rest.post("/services", json=wish)
    assert made.status_code == 201
    assert made.json()["token"] in made.json()["command"]
    assert (await rest.get("/services?status=blue")).json()[0]["name"] == "branch-1"
    line = LogLine(1, 5.0, "info", "at work")
    known.watch.take(known.register.find("branch-1"), report(lines=(line,)), "192.0.2.7")
    await known.watch.write()
    row = (await rest.get("/services/branch-1")).json()
    assert (row["status"], row["fqdn"], row["api_port"]) == ("green", "host.example", 7221)
    assert (await rest.get("/services?status=red")).json() == []
    log = (await rest.get("/services/branch-1/log")).json()
    assert log == [{"number": 1, "time": 5.0, "level": "info", "text": "at work"}]
    assert row["id"] in (await rest.get("/services/branch-1/events")).json()["sql"]


async def test_orders(rest, known, service):
    known.watch.take(service, report(), "a")
    await known.watch.write()
    for order in ("reload", "restart", "disable", "enable"):
        assert (await rest.post(f"/services/branch-1/{order}")).status_code == 200
    assert (await rest.put("/services/branch-1/debug", json={"on": True})).json()["debug"]
    assert "deodar-service:" in (await rest.post("/services/branch-1/token")).json()["token"]
    done = await rest.post("/services/branch-1/reset-certificate", json={"new_token": True})
    assert done.json()["command"]
    assert (await rest.delete("/services/branch-1")).status_code == 204
    assert (await rest.get("/services")).json() == []
