from __future__ import annotations

import asyncio

import httpx
import pytest
from sqlalchemy import select

from deodar.edr.renewal_api import LARGEST_BODY
from deodar.edr.tables import audit
from deodar.tls import certificates
from deodar.tls.certificates import Pair

URL, HELLO = "/agent/v1/renew", "/agent/v1/hello"


async def renewed(client: httpx.AsyncClient) -> Pair:
    request, key = certificates.make_request("x")
    answer = await client.post(URL, json={"request": request.decode()})
    assert answer.status_code == 200, answer.text
    return Pair(answer.json()["certificate"].encode(), key)


async def test_an_agent_goes_over_to_its_new_certificate(server):
    agent_id, old = await server.agent()
    before = server.client(old)
    new = server.client(await renewed(before))
    assert (await before.get(HELLO)).status_code == 200  # until the new one was shown
    assert (await new.get(HELLO)).status_code == 200
    refused = await before.get(HELLO)
    assert (refused.status_code, refused.json()["error"]) == (
        403,
        "Forbidden: this endpoint is not enrolled",
    )
    assert (await server.client(await renewed(new)).get(HELLO)).status_code == 200
    with server.database.read() as connection:
        mine = select(audit.c.action).where(audit.c.subject == agent_id).order_by(audit.c.number)
        assert list(connection.execute(mine).scalars()) == [
            "endpoint enroll",
            "endpoint renew",
            "endpoint renew",
        ]


async def test_a_lost_answer_costs_nothing(server):
    _, old = await server.agent()
    client = server.client(old)
    lost, taken = await renewed(client), await renewed(client)
    assert (await server.client(lost).get(HELLO)).status_code == 403
    assert (await server.client(taken).get(HELLO)).status_code == 200


async def test_many_first_requests_with_a_new_certificate_at_once(server):
    _, old = await server.agent()
    new = await renewed(server.client(old))
    clients = [server.client(new) for _ in range(6)]
    answers = await asyncio.gather(*(client.get(HELLO) for client in clients))
    assert {answer.status_code for answer in answers} == {200}


async def test_a_revoked_agent_gets_none_and_its_noted_one_is_no_good(server):
    agent_id, old = await server.agent()
    client = server.client(old)
    new = await renewed(client)
    await asyncio.to_thread(server.endpoints.revoke, agent_id, "stolen")
    assert (await client.post(URL, json={"request": "x"})).status_code == 403
    assert (await server.client(new).get(HELLO)).status_code == 403
    found = server.endpoints.find(agent_id)
    assert (found.revoked_reason, found.revoked_us > 0) == ("stolen", True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{}", 400),
        (b'{"request": 5}', 400),
        (b'{"request": "nonsense"}', 400),
        (b"[" * 5000, 400),
        (b"x" * (LARGEST_BODY + 1), 413),
    ],
)
async def test_bad_bodies_are_refused(server, body, status):
    _, pair = await server.agent()
    answer = await server.client(pair).post(URL, content=body)
    assert answer.status_code == status
    assert answer.json()["error"].startswith("Bad Request")


async def test_nobody_else_gets_a_certificate(server):
    assert (await server.client(None).post(URL, json={"request": "x"})).status_code == 401
    own = certificates.self_signed("x")
    assert (await server.client(own).post(URL, json={"request": "x"})).status_code == 403
