from __future__ import annotations

from typing import Any

import pytest

from deodar.edr.database import now_us
from deodar.edr.reputation import Entry, Reputation

MD5, SHA, NONE = "a" * 32, "B" * 64, "c" * 64
URL = "/agent/v1/reputation"


@pytest.fixture
async def agent(server):
    _, pair = await server.agent()
    return server.client(pair)


async def ask(agent: Any, *hashes: str) -> Any:
    answer = await agent.post(URL, json={"hashes": hashes})
    assert answer.status_code == 200, answer.text
    return answer


async def test_agents_are_told_what_the_lists_know(server, agent):
    reputation = Reputation(server.database)
    reputation.add(Entry(MD5, "untrusted", "feed-1"))
    reputation.add(Entry(SHA, "trusted", "local"))
    answer = await ask(agent, MD5, SHA, NONE)
    assert answer.json()["verdicts"] == {
        MD5: {"verdict": "untrusted", "source": "feed-1"},
        SHA: {"verdict": "trusted", "source": "local"},
        NONE: {"verdict": "unknown"},
    }
    assert answer.headers["Cache-Control"] == "private, max-age=3600"
    assert (await ask(agent)).json()["verdicts"] == {}


async def test_an_answer_is_kept_no_longer_than_its_entries(server, agent):
    soon = now_us() + 60_000_000
    Reputation(server.database).add(Entry(MD5, "untrusted", "local", expires_us=soon))
    assert 55 <= (await ask(agent, MD5)).json()["max_age"] <= 60


async def test_a_thousand_hashes_are_one_request_and_more_are_not(agent):
    many = [f"{number:064x}" for number in range(1001)]
    assert len((await ask(agent, *many[:1000])).json()["verdicts"]) == 1000
    assert (await agent.post(URL, json={"hashes": many})).status_code == 400


@pytest.mark.parametrize("body", [b"", b"{}", b'{"hashes": ["x"]}', b'{"hashes": "x"}', b"\xff"])
async def test_what_is_no_question_is_refused(agent, body):
    answer = await agent.post(URL, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Bad Request")


async def test_only_enrolled_agents_may_ask(server, agent):
    assert (await server.client(None).post(URL)).status_code == 401
    assert (await server.system().client.post(URL)).status_code == 403
    large = await agent.post(URL, content=b" " * (200 << 10))
    assert large.status_code == 413
