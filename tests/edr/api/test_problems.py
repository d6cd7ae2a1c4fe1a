from __future__ import annotations

import json

import pytest

from deodar.edr import errors
from deodar.edr.api import problems
from deodar.edr.users import errors as users
from deodar.kit.errors import DeodarError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotKnown("none"), 404),
        (errors.Ambiguous("two"), 409),
        (errors.LogUnavailable("full", 7), 503),
        (users.LockedOut(9), 429),
        (problems.Refused(418, "tea"), 418),
    ],
)
async def test_an_error_has_its_code_and_tells_its_text(error, status):
    answer = await problems.refused(None, error)
    assert answer.status_code == status
    assert str(error) in json.loads(answer.body)["error"]
    retry = getattr(error, "retry_after", None)
    assert answer.headers.get("retry-after") == (None if retry is None else str(retry))


async def test_what_an_error_of_the_database_says_stays_inside():
    answer = await problems.refused(None, errors.ControlDataError("postgresql://host failed"))
    assert (answer.status_code, b"postgresql" in answer.body) == (503, False)


async def test_an_error_without_a_code_is_a_mistake_of_the_server():
    answer = await problems.refused(None, DeodarError("secret"))
    assert (answer.status_code, b"secret" in answer.body) == (500, False)


async def test_routing_answers_in_the_same_form(admin):
    for method, path, status in (("GET", "/nosuch", 404), ("PUT", "/status", 405)):
        answer = await admin.request(method, path)
        assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert answer.headers["allow"] == "GET"
    several = await admin.put("/users/x")
    assert several.headers["allow"] == "DELETE, GET, PATCH"
    wrong = await admin.get("/endpoints?limit=0")
    assert wrong.status_code == 422
    assert "limit" in wrong.json()["error"]
