from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from deodar import __version__


@pytest.fixture
async def local(server):
    transport = httpx.AsyncHTTPTransport(uds=str(server.installation.directory.socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
        yield client


async def test_the_status_tells_what_the_server_does(server, local):
    await server.put([{"EventType": "process"}, {"EventType": "module"}])
    await server.put_raw(b"broken")
    told = (await local.get("/status")).json()
    assert told["version"] == __version__
    assert told["url"] == server.url
    assert told["server_id"] == server.installation.server_id
    assert (told["last_seq"], told["events"], told["packets"]) == (2, 2, 1)
    assert (told["dead_letters"], told["failure"]) == (1, None)


async def test_metrics_are_prometheus_text(server, local):
    await server.put([{"EventType": "process"}])
    text = (await local.get("/metrics")).text
    assert "deodar_edr_events_total 1.0" in text
    assert "deodar_edr_last_seq 1.0" in text


async def test_a_part_of_an_import_is_taken_once(local):
    given = {"source": "import/x", "packet": 1, "first_line": 1}
    first = await local.post("/import", params=given, content=b'{"EventType":"process"}')
    again = await local.post("/import", params=given, content=b'{"EventType":"process"}')
    assert first.json() == {"packet": 1, "events": 1, "dead": 0, "duplicate": False}
    assert again.json()["duplicate"] is True


async def test_a_line_that_is_too_long_becomes_a_dead_letter(server, local):
    given = {"source": "import/x", "packet": 1, "first_line": 7, "too_long": 1}
    answer = await local.post("/import", params=given, content=b"x" * 100)
    assert answer.json()["dead"] == 1
    status = json.loads(await asyncio.to_thread(server.local.get, "/status"))
    assert status["dead_letters"] == 1


@pytest.mark.parametrize(
    "given",
    [{}, {"source": "a"}, {"source": "a", "packet": "x", "first_line": 1}],
)
async def test_bad_parameters_are_refused(local, given):
    assert (await local.post("/import", params=given, content=b"{}")).status_code == 400


async def test_more_events_than_a_packet_may_have_are_refused(local):
    given = {"source": "import/x", "packet": 1, "first_line": 1}
    answer = await local.post("/import", params=given, content=b"{}\n" * 10_001)
    assert answer.status_code == 413


async def test_the_socket_is_its_owners_alone(server):
    assert server.installation.directory.socket.stat().st_mode & 0o077 == 0
