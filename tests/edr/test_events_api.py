from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace

import httpx
import pytest
import zstandard

from deodar.edr import installation as installations
from deodar.edr import tokens
from deodar.edr.database import now_us
from deodar.edr.events_api import CONFLICT
from deodar.edr.settings import EdrSettings, EventsApi

from .conftest import LIMIT, make_older, running


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [event["Id"] for event in answer.json()["events"]]


def numbered(count: int, first: int = 0, **more: object) -> list[dict[str, object]]:
    return [
        {"EventType": "process", "Timestamp": 1, "Id": f"{n}", **more}
        for n in range(first, first + count)
    ]


async def test_an_unknown_system_gets_401_until_it_is_accepted(server):
    system = server.system()
    refused = await system.get()
    assert refused.status_code == 401
    assert refused.json() == {"error": "Unauthorized"}
    assert [row.state for row in server.register.list()] == ["pending"]
    server.register.accept(system.id)
    assert (await system.get()).status_code == 200


async def test_a_storm_of_first_requests_makes_one_pending_row(server):
    storm = [server.system() for _ in range(12)]
    answers = await asyncio.gather(*(one.get() for one in storm for _ in range(4)))
    assert {answer.status_code for answer in answers} == {401}
    assert [(row.id, row.state) for row in server.register.list()] == [("siem-1", "pending")]


async def test_no_certificate_means_401_and_no_row(server):
    assert (await server.system(number=None).get()).status_code == 401
    assert server.register.list() == []


async def test_a_rejected_system_stays_out_and_stays_listed(server):
    system = await server.system().accepted()
    server.register.reject(system.id)
    assert (await system.get()).status_code == 401
    assert [row.state for row in server.register.list()] == ["rejected"]


async def test_a_deleted_system_asks_anew(server):
    system = await server.system().accepted()
    server.register.delete(system.id)
    assert (await system.get()).status_code == 401
    assert [row.state for row in server.register.list()] == ["pending"]


async def test_the_same_address_and_certificate_under_another_id_conflict(server):
    await server.system("first").accepted()
    refused = await server.system("second").get()
    assert refused.status_code == 409
    assert refused.json() == {"error": CONFLICT}
    assert CONFLICT.startswith(
        "Conflict: An external system with the following ip and certificate digest already exists"
    )


async def test_another_certificate_is_a_new_request_and_the_old_one_goes_on(server):
    old = await server.system("siem", 0).accepted()
    new = server.system("siem", 1)
    assert (await new.get()).status_code == 401
    assert (await old.get()).status_code == 200
    pending = server.register.list("pending")[0]
    server.register.accept(str(pending.number))
    assert (await new.get()).status_code == 200
    assert (await old.get()).status_code == 401


async def test_another_address_is_a_new_request(server):
    here = await server.system("siem", 0).accepted()
    there = server.system("siem", 0, ip="127.0.0.2")
    assert (await there.get()).status_code == 401
    assert (await here.get()).status_code == 200
    assert {(row.ip, row.state) for row in server.register.list()} == {
        ("127.0.0.1", "accepted"),
        ("127.0.0.2", "pending"),
    }


async def test_a_malformed_id_is_a_bad_request_and_makes_no_row(server):
    assert (await server.system("%00..").get()).status_code == 400
    assert server.register.list() == []


async def test_the_initial_request_returns_history_and_the_token_leads_on(server):
    await server.put(numbered(3))
    system = await server.system().accepted()
    first = await system.get(max_events=2)
    assert ids(first) == ["0", "1"]
    assert first.headers["content-type"] == "application/json"
    token = first.json()["continuationToken"]
    rest = await system.get(continuation_token=token)
    assert ids(rest) == ["2"]
    await server.put(numbered(1, 3))
    assert ids(await system.get(continuation_token=rest.json()["continuationToken"])) == ["3"]


async def test_a_token_may_be_used_again(server):
    await server.put(numbered(3))
    system = await server.system().accepted()
    token = (await system.get(max_events=1)).json()["continuationToken"]
    assert ids(await system.get(continuation_token=token)) == ["1", "2"]
    assert ids(await system.get(continuation_token=token)) == ["1", "2"]


async def test_an_empty_answer_has_a_token_too(server):
    system = await server.system().accepted()
    answer = (await system.get()).json()
    assert answer["events"] == []
    assert len(answer["continuationToken"]) == tokens.TOKEN_LENGTH


async def test_a_long_poll_ends_with_the_number_of_events(server):
    system = await server.system().accepted()
    waiting = asyncio.create_task(system.get(max_events=2, max_timeout="PT20S"))
    await server.put(numbered(1))
    await server.put(numbered(1, 1))
    assert ids(await asyncio.wait_for(waiting, 10)) == ["0", "1"]


async def test_a_long_poll_ends_with_the_time_and_gives_what_is_there(server):
    await server.put(numbered(1))
    system = await server.system().accepted()
    clock = asyncio.get_running_loop().time
    began = clock()
    assert ids(await system.get(max_timeout="PT0,5S")) == ["0"]
    assert 0.5 <= clock() - began < 5


async def test_a_filter_that_matches_nothing_waits_and_advances(server):
    await server.put(numbered(5))
    system = await server.system().accepted()
    clock = asyncio.get_running_loop().time
    began = clock()
    nothing = await system.get(filter="EventType == 'module'", max_timeout="PT0.4S")
    assert ids(nothing) == []
    assert clock() - began >= 0.4
    token = unsealed(server, system, nothing.json()["continuationToken"])
    assert token.seq == 5


async def test_a_filter_is_remembered_with_the_token_and_can_be_replaced(server):
    await server.put(
        [{"EventType": "process", "Id": f"{n}", "FileName": "ab"[n % 2]} for n in range(6)]
    )
    system = await server.system().accepted()
    first = await system.get(filter="FileName == 'a'", max_events=1)
    assert ids(first) == ["0"]
    token = first.json()["continuationToken"]
    remembered = await system.get(continuation_token=token, max_events=1)
    assert ids(remembered) == ["2"]
    other = await system.get(continuation_token=token, filter="FileName == 'b'", max_events=2)
    assert ids(other) == ["1", "3"]
    after = await system.get(continuation_token=other.json()["continuationToken"])
    assert ids(after) == ["5"]


async def test_filters_reach_into_the_rules_of_a_mark(server):
    rules = [{"Id": "1", "Name": "T1059 shell", "Techniques": ["T1059", "T1071"], "Tactics": []}]
    marked = {"EventType": "process", "Id": "m", "Ioa": {"Rules": rules, "Severity": "high"}}
    await server.put([*numbered(2), marked])
    system = await server.system().accepted()
    assert ids(await system.get(filter="Ioa.Rules.Techniques = 'T1071'")) == ["m"]
    assert ids(await system.get(filter="NOT Ioa.Rules.Name == '*shell'")) == ["0", "1"]


async def test_a_wrong_filter_is_told_with_its_column(server):
    system = await server.system().accepted()
    refused = await system.get(filter="FileName == 'a' AND")
    assert refused.status_code == 400
    assert refused.json()["error"].startswith("Bad Request: filter, column 20")


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"max_events": 10_001}, "Bad Request: max_events 10001 is greater than the allowed value"),
        ({"max_events": "ten"}, "Bad Request: max_events 'ten' is not a number of events"),
        ({"max_events": -1}, "Bad Request: max_events '-1' is not a number of events"),
        ({"max_timeout": "PT301S"}, "Bad Request: max_timeout PT301S is greater"),
        ({"max_timeout": "30"}, "Bad Request: max_timeout: '30' is not an ISO 8601 duration"),
    ],
)
async def test_wrong_parameters_are_refused_by_name(server, parameters, text):
    system = await server.system().accepted()
    refused = await system.get(**parameters)
    assert refused.status_code == 400
    assert refused.json()["error"].startswith(text)


async def test_unknown_parameters_are_ignored_and_zero_means_the_servers_value(server):
    await server.put(numbered(2))
    system = await server.system().accepted()
    assert ids(await system.get(max_events=0, color="red")) == ["0", "1"]


async def test_the_vendors_other_spellings_of_the_url_work(server):
    await server.put(numbered(3))
    system = await server.system().accepted()
    token = (await system.get(max_events=1)).json()["continuationToken"]
    base = f"{server.url}/kata/events_api/v1/{system.id}"
    for tail in (
        f"events&continuation_token={token}&max_timeout=PT0S",
        f"events=?continuation_token={token}&max_timeout=PT0S",
    ):
        assert ids(await system.client.get(f"{base}/{tail}")) == ["1", "2"]
    assert (await system.client.get(f"{base}/eventsx")).status_code == 404


async def test_other_methods_are_refused(server):
    system = await server.system().accepted()
    answer = await system.client.post(f"/kata/events_api/v1/{system.id}/events")
    assert answer.status_code == 405
    assert "error" in answer.json()


def unsealed(server, system, text: str) -> tokens.Token:
    return tokens.unseal(server.installation.token_key, system.id, text)


def sealed(server, system, token: tokens.Token, **changes: object) -> str:
    return tokens.seal(server.installation.token_key, system.id, replace(token, **changes))


async def test_wrong_tokens_are_not_found(server):
    system = await server.system().accepted()
    good = (await system.get()).json()["continuationToken"]
    token = unsealed(server, system, good)
    wrong = {
        "damaged": good[:-1] + ("A" if good[-1] != "A" else "B"),
        "short": good[:-4],
        "no base64": "é" * len(good),
        "of another system": tokens.seal(server.installation.token_key, "other", token),
        "of another server": tokens.seal(b"x" * 32, system.id, token),
        "of another log": sealed(server, system, token, epoch=bytes(16)),
        "ahead of the log": sealed(server, system, token, seq=99),
        "of a filter that is gone": sealed(server, system, token, filter=b"f" * 16),
    }
    for name, text in wrong.items():
        answer = await system.get(continuation_token=text)
        assert answer.status_code == 404, name
        assert answer.json() == {"error": "Continuation token not found"}, name
    assert (await system.get(continuation_token=good)).status_code == 200


async def test_a_token_is_outdated_only_when_events_after_it_are(server, engine):
    await server.put(numbered(2))
    system = await server.system().accepted()
    last = (await system.get()).json()["continuationToken"]
    first = (await system.get(max_events=1)).json()["continuationToken"]
    hour = 3600 * 1_000_000
    make_older(engine, 3 * hour)
    old = now_us() - 3 * hour
    still_good = sealed(server, system, unsealed(server, system, last), issued_us=old)
    assert ids(await system.get(continuation_token=still_good)) == []
    assert ids(await system.get(continuation_token=first)) == ["1"]  # issued within the window
    outdated = sealed(server, system, unsealed(server, system, first), issued_us=old)
    answer = await system.get(continuation_token=outdated)
    assert answer.status_code == 404
    assert answer.json() == {"error": "Continuation token not found"}


async def test_tokens_and_filters_survive_a_restart(installation, engine):
    async with running(installation, engine) as server:
        await server.put(
            [{"EventType": "process", "Id": f"{n}", "FileName": "ab"[n % 2]} for n in range(4)]
        )
        system = await server.system().accepted()
        token = (await system.get(filter="FileName == 'b'", max_events=1)).json()
    async with running(installation, engine) as server:
        system = server.system()
        assert ids(await system.get(continuation_token=token["continuationToken"])) == ["3"]


async def test_answers_are_packed_as_the_client_asks(server):
    await server.put(numbered(50))
    system = await server.system().accepted()
    plain = await system.client.get(
        f"/kata/events_api/v1/{system.id}/events",
        params={"max_timeout": "PT0S"},
        headers={"Accept-Encoding": "identity"},
    )
    assert "content-encoding" not in plain.headers
    for encoding in ("gzip", "zstd"):
        request = system.client.build_request(
            "GET",
            f"/kata/events_api/v1/{system.id}/events",
            params={"max_timeout": "PT0S"},
            headers={"Accept-Encoding": encoding},
        )
        answer = await system.client.send(request, stream=True)
        raw = b"".join([part async for part in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == encoding
        assert len(raw) < len(plain.content) / 2
        if encoding == "zstd":
            unpacked = zstandard.ZstdDecompressor().decompress(raw, max_output_size=1 << 20)
            assert json.loads(unpacked)["events"] == plain.json()["events"]


async def test_a_client_that_goes_away_ends_its_wait(server):
    system = await server.system().accepted()
    with pytest.raises(httpx.ReadTimeout):
        await system.client.get(
            f"/kata/events_api/v1/{system.id}/events",
            params={"max_timeout": "PT100S"},
            timeout=0.5,
        )
    for _ in range(200):
        status = json.loads(await asyncio.to_thread(server.local.get, "/status"))
        if status["waiting_requests"] == 0:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the request still waits")


async def test_a_system_that_is_rejected_while_it_waits_gets_nothing(server):
    system = await server.system().accepted()
    waiting = asyncio.create_task(system.get(max_events=1, max_timeout="PT20S"))
    for _ in range(200):
        status = json.loads(await asyncio.to_thread(server.local.get, "/status"))
        if status["waiting_requests"]:
            break
        await asyncio.sleep(0.02)
    server.register.reject(system.id)
    await asyncio.sleep(1.1)  # shorter waits are not looked at again
    await server.put(numbered(1))
    assert (await asyncio.wait_for(waiting, LIMIT)).status_code == 401


async def test_a_stop_answers_waiting_requests(installation, engine):
    async with running(installation, engine) as server:
        system = await server.system().accepted()
        waiting = asyncio.create_task(system.get(max_events=1, max_timeout="PT60S"))
        for _ in range(200):
            status = json.loads(await asyncio.to_thread(server.local.get, "/status"))
            if status["waiting_requests"]:
                break
            await asyncio.sleep(0.02)
        clients, server._systems = server._systems, []
    answer = await asyncio.wait_for(waiting, LIMIT)
    assert answer.status_code == 200
    for one in clients:
        await one.client.aclose()


async def test_a_store_that_fails_is_told_as_503(server, engine):
    await server.put(numbered(1))
    system = await server.system().accepted()
    engine.command("RENAME TABLE edr_events TO edr_events_away")
    try:
        answer = await system.get()
    finally:
        engine.command("RENAME TABLE edr_events_away TO edr_events")
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert ids(await system.get()) == ["0"]


class TestSmallAnswers:
    @pytest.fixture
    def settings(self) -> EdrSettings:
        api = EventsApi(max_response_bytes=64 << 10, content_type="application/octet-stream")
        return EdrSettings(host="127.0.0.1", port=0, names=("127.0.0.1",), events_api=api)

    async def test_an_answer_is_bounded_in_bytes_and_no_event_is_lost(self, server):
        texts = [30_000, 30_000, 30_000, 200_000, 10]
        await server.put(
            [
                {"EventType": "process", "Id": f"{n}", "FileName": "x" * size}
                for n, size in enumerate(texts)
            ]
        )
        system = await server.system().accepted()
        got, parameters = [], {}
        while len(got) < len(texts):
            answer = await system.get(**parameters)
            assert answer.headers["content-type"] == "application/octet-stream"
            found = ids(answer)
            assert found
            assert len(found) == 1 or len(answer.content) < 66_000
            got += found
            parameters = {"continuation_token": answer.json()["continuationToken"]}
        assert got == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("history", "expected"), [("none", []), ("PT1H", ["1"]), ("all", ["0", "1"])]
)
async def test_history_is_what_the_setting_says(tmp_path, engine, history, expected):
    api = EventsApi(history=history)
    settings = EdrSettings(host="127.0.0.1", port=0, names=("127.0.0.1",), events_api=api)
    async with running(installations.init(tmp_path / "edr", settings), engine) as server:
        await server.put(numbered(1))
        make_older(engine, 7200_000_000)
        await server.put(numbered(1, 1))
        system = await server.system().accepted()
        answer = await system.get()
        assert ids(answer) == expected
        await server.put(numbered(1, 2))
        token = answer.json()["continuationToken"]
        assert ids(await system.get(continuation_token=token)) == ["2"]


def test_a_token_is_plain_url_text():
    text = tokens.seal(b"k" * 32, "s", tokens.Token(bytes(16), bytes(16), 2**63, 2**60))
    assert base64.urlsafe_b64decode(text)
    assert "=" not in text
