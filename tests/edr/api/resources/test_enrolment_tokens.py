from __future__ import annotations

import httpx
import pytest
from tests.edr.conftest import read_token

from deodar.tls import certificates, contexts


async def test_a_token_that_was_made_here_lets_an_agent_in(server, admin, auditor):
    made = await admin.post("/enrolment-tokens", json={"valid": "PT1H", "note": "for web-1"})
    assert made.status_code == 201
    told = read_token(made.json()["token"])
    assert (told["url"], told["pin"]) == (server.url, server.installation.pin)
    request, _ = certificates.make_request("x")
    asked = {"token": told["secret"], "request": request.decode()}
    context = contexts.pinned_client([server.installation.pin])
    async with httpx.AsyncClient(verify=context, trust_env=False) as agent:
        answer = await agent.post(f"{server.url}/agent/v1/enroll", json=asked)
    (listed,) = (await auditor.get("/enrolment-tokens")).json()["items"]
    assert (listed["note"], listed["agent_id"]) == ("for web-1", answer.json()["agent_id"])


async def test_tokens_are_listed_in_parts_and_taken_back(admin, auditor):
    for note in "abc":
        await admin.post("/enrolment-tokens", json={"note": note})
    first = (await auditor.get("/enrolment-tokens?limit=2")).json()
    rest = (await auditor.get("/enrolment-tokens", params={"after": first["next"]})).json()
    notes = [one["note"] for one in first["items"] + rest["items"]]
    assert notes == ["c", "b", "a"]
    path = f"/enrolment-tokens/{first['items'][0]['id']}"
    assert (await auditor.delete(path)).status_code == 403
    assert (await admin.delete(path)).status_code == 204
    assert (await admin.delete(path)).status_code == 404


@pytest.mark.parametrize(
    ("wish", "status"),
    [({"valid": "soon"}, 400), ({"valid": "P400D"}, 400), ({"url": "ftp://x"}, 422)],
)
async def test_a_wish_that_cannot_be_is_refused(admin, auditor, wish, status):
    assert (await admin.post("/enrolment-tokens", json=wish)).status_code == status
    assert (await auditor.post("/enrolment-tokens", json={})).status_code == 403
