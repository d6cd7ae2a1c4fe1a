from __future__ import annotations

import asyncio
import time

import pytest
from tests.conformance.script import Script
from tests.edr.conftest import running, self_made


@pytest.fixture(scope="module")
def script(kata):
    return kata.accepted()


@pytest.mark.row("1.4", "200 with events, possibly none")
def test_success(kata, script):
    assert script.get(filter=kata.put_marked(1)).status == 200
    assert script.get(filter="HostName == 'nobody'").status == 200


@pytest.mark.row("1.4", 'not authorised: 401 {"error": "Unauthorized"}')
def test_unauthorised(kata):
    answer = kata.script().get()
    assert answer.status == 401
    assert answer.body.replace(b" ", b"") == b'{"error":"Unauthorized"}'


@pytest.mark.row("1.4", "authorised and not any more: 401")
def test_access_that_is_lost(kata):
    script = kata.accepted()
    assert script.get().status == 200
    kata.register.reject(script.id)
    lost = script.get()
    assert (lost.status, lost.json) == (401, {"error": "Unauthorized"})


@pytest.mark.row("1.4", "wrong parameters: 400")
@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"max_events": "ten"}, "Bad Request: max_events 'ten' is not a number of events"),
        ({"max_events": "-1"}, "Bad Request: max_events '-1'"),
        ({"max_events": "1.5"}, "Bad Request: max_events '1.5'"),
        ({"max_events": "9" * 30}, "Bad Request: max_events '9999"),
        ({"max_timeout": "soon"}, "Bad Request: max_timeout: 'soon'"),
        ({"filter": "HostName =="}, "Bad Request: filter, column"),
        ({"filter": "Nothing == 'x' AND ("}, "Bad Request: filter, column"),
        ({"filter": "a" * 9000}, "Bad Request: filter is longer than 8192 characters"),
        ({"filter": "(" * 4000}, "Bad Request: filter"),
    ],
)
def test_wrong_parameters(script, given, text):
    answer = script.get(**given)
    assert answer.status == 400
    assert answer.json["error"].startswith(text)


@pytest.mark.row("1.4", "wrong parameters: 400")
def test_text_that_is_no_utf_8_is_refused(script):
    answer = script.send(f"/kata/events_api/v1/{script.id}/events?filter=%ff%fe")
    assert (answer.status, answer.json["error"][:12]) == (400, "Bad Request:")


@pytest.mark.row("1.4", "an address and certificate known under another id: Conflict")
def test_conflict(kata):
    known = kata.accepted()
    answer = kata.script("another-id", ip=known.ip).get()
    assert answer.status == 409
    assert answer.json["error"].startswith(
        "Conflict: An external system with the following ip and certificate digest already exists"
    )


@pytest.mark.row("1.4", "too many requests")
def test_too_many_requests(kata):
    loud, quiet = kata.accepted(), kata.accepted()
    kata.settings.set("events_api.rate", 0.5)
    try:
        end = time.monotonic() + 20
        while (answer := loud.get(max_events=1)).status == 200:
            assert time.monotonic() < end
        assert answer.status == 429
        assert answer.json["error"].startswith("Number of requests exceeded")
        pause = int(answer.headers["retry-after"])
        assert 1 <= pause <= 2
        assert quiet.get(max_events=1).status == 200
        time.sleep(pause)  # what the client was told
        assert loud.get(max_events=1).status == 200
    finally:
        kata.settings.reset("events_api.rate")


@pytest.mark.row("1.4", "an internal error is to be repeated: 500, 502, 503, 504")
async def test_a_store_that_does_not_answer(installation, engine, tmp_path):
    pem = tmp_path / "client.pem"
    pem.write_bytes(self_made().pem)
    async with running(installation, engine) as server:
        authority = installation.directory.path / "authority.pem"
        script = Script(server.url, authority, pem, "siem")
        assert (await asyncio.to_thread(script.get)).status == 401
        server.register.accept("siem")
        await server.put([{"EventType": "process", "Id": "0"}])
        engine.command("RENAME TABLE edr_events TO edr_events_away")
        try:
            answer = await asyncio.to_thread(script.get)
        finally:
            engine.command("RENAME TABLE edr_events_away TO edr_events")
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        assert (await asyncio.to_thread(script.get)).ids == ["0"]
