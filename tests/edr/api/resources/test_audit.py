from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from sqlalchemy import text

from deodar.edr.audit import Trail, Verdict

if TYPE_CHECKING:
    from deodar.edr.audit_chain import Place


async def test_the_trail_is_read_in_parts_and_by_choice(admin, auditor):
    for _ in range(3):
        await admin.post("/users/auditor/unlock")
    everything = (await auditor.get("/audit")).json()["items"]
    assert everything[0]["action"] == "user unlock"
    assert (everything[0]["user"], everything[0]["address"]) == ("admin", "127.0.0.1")
    first = (await auditor.get("/audit?limit=2")).json()
    second = (await auditor.get("/audit", params={"after": first["next"], "limit": 1000})).json()
    assert first["items"] + second["items"] == everything
    chosen = (await auditor.get("/audit?user=admin&action=user&subject=auditor")).json()["items"]
    assert [one["action"] for one in chosen] == ["user unlock"] * 3
    later = everything[0]["time_us"]
    assert (await auditor.get(f"/audit?since_us={later + 1}")).json()["items"] == []
    assert len((await auditor.get(f"/audit?until_us={later}")).json()["items"]) < len(everything)


async def test_nothing_changes_the_trail(admin):
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert (await admin.request(method, "/audit")).status_code == 405


async def test_a_change_in_the_database_shows(server, auditor):
    good = (await auditor.get("/audit/verification")).json()
    assert good["problem"] == ""
    noted = {"number": good["number"], "hash": good["hash"]}
    assert (await auditor.get("/audit/verification", params=noted)).json() == good
    noted["hash"] = "0" * 64
    other = (await auditor.get("/audit/verification", params=noted)).json()
    assert "noted" in other["problem"]
    assert (await auditor.get("/audit/verification?number=1")).status_code == 422
    with server.database.write() as connection:
        connection.execute(text("UPDATE audit SET user = 'x' WHERE number = 1"))
    told = (await auditor.get("/audit/verification")).json()
    assert "row 1" in told["problem"]


async def test_one_check_runs_at_a_time(server, auditor, monkeypatch):
    began, go_on = threading.Event(), threading.Event()

    def slow(_trail: Trail, _noted: Place | None) -> Verdict:
        began.set()
        assert go_on.wait(20)
        return Verdict(0, 0, "", "")

    monkeypatch.setattr(Trail, "verify", slow)
    first = asyncio.create_task(auditor.get("/audit/verification"))
    assert await asyncio.to_thread(began.wait, 20)
    second = await auditor.get("/audit/verification")
    go_on.set()
    assert (second.status_code, second.headers["retry-after"]) == (503, "10")
    assert (await first).status_code == 200
