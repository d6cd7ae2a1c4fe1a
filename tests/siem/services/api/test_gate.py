from __future__ import annotations

import contextlib

from deodar.siem.errors import ControlDataError
from deodar.siem.services.audit import latest


async def test_who_changed_something_is_in_the_audit_trail(rest, known, service):
    assert (await rest.post("/services/branch-1/disable")).status_code == 200
    assert latest(known.database)[0].user == "administrator"


async def test_bodies_are_bounded_and_read_only_for_those_who_are_known(rest):
    large = b" " * (25 << 20)
    answer = await rest.put("/resource-sets/x", content=large)
    assert answer.status_code == 413
    answer = await rest.put("/resource-sets/x", content=large, headers=rest.nobody)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_answers_are_kept_by_nobody(rest):
    answer = await rest.get("/services")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_without_the_database_it_says_come_again(rest, known, monkeypatch):
    @contextlib.contextmanager
    def away():
        raise ControlDataError("at a secret place")
        yield

    monkeypatch.setattr(known.database, "read", away)
    answer = await rest.get("/services")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "secret place" not in answer.text
