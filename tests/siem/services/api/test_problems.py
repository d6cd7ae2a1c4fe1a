from __future__ import annotations

import pytest

from deodar.siem.services import admin
from deodar.siem.services.api.problems import STATUS, documented


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "told"),
    [
        ("GET", "/services/absent", None, 404, "service list"),
        ("GET", "/absent", None, 404, "Not Found"),
        ("PATCH", "/services", None, 405, "Method Not Allowed"),
        ("POST", "/services", {"name": 1, "resource_set": "x"}, 422, "body.name"),
        ("POST", "/services", {"name": "a", "resource_set": "x", "more": 1}, 422, "body.more"),
        ("POST", "/services", {"name": "a b", "resource_set": "x"}, 422, "cannot name"),
        ("POST", "/services/branch-1/restart", None, 409, "never reported"),
        ("GET", "/services/branch-1/log?lines=0", None, 422, "query.lines"),
    ],
)
async def test_every_refusal_has_the_same_form(rest, service, method, path, body, status, told):
    answer = await rest.request(method, path, json=body)
    assert answer.status_code == status
    assert told in answer.json()["error"]


async def test_a_mistake_of_the_core_tells_nothing_of_it(rest, service, monkeypatch):
    def broken(*_arguments):
        raise ZeroDivisionError("inner workings")

    monkeypatch.setattr(admin, "rows", broken)
    answer = await rest.get("/services")
    assert answer.status_code == 500
    assert "inner workings" not in answer.text


def test_what_is_documented_has_a_meaning():
    assert all(documented(status)[status]["description"] for status in set(STATUS.values()))
