from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from urllib.parse import urlsplit

import pytest
import zstandard

from deodar.edr.settings import EdrSettings, Ingest
from deodar.tls import certificates, contexts

from .conftest import read_token, self_made


def packet(number: object = 1, spool: str = "spool-1", **more: str) -> dict[str, str]:
    return {"Deodar-Spool": spool, "Deodar-Packet": str(number), **more}


EVENT = b'{"EventType":"process","Timestamp":1,"Id":"a","FileName":"x"}'


@pytest.fixture
async def agent(server):
    """An enrolled agent: its id and an HTTP client with its certificate."""
    agent_id, pair = await server.agent()
    client = server.client(pair)
    client.agent_id = agent_id
    return client


async def served(server) -> list[dict[str, object]]:
    """Return all events that the log holds, as an external system gets them."""
    system = await server.system("reader", 3).accepted()
    return (await system.get()).json()["events"]


async def test_an_enrolled_agents_packet_is_in_the_log_when_it_is_acknowledged(server, agent):
    body = zstandard.compress(EVENT + b"\n" + EVENT.replace(b'"a"', b'"b"'))
    answer = await agent.post(
        "/agent/v1/packets", content=body, headers=packet(**{"Content-Encoding": "zstd"})
    )
    assert answer.json() == {"packet": 1, "events": 2, "dead": 0}
    found = await served(server)
    assert [event["Id"] for event in found] == ["a", "b"]
    assert {event["AgentId"] for event in found} == {agent.agent_id}
    assert all(event["ReceivedTimestamp"] > 1_700_000_000_000_000 for event in found)


async def test_a_repeated_packet_is_acknowledged_and_stored_once(server, agent):
    first = await agent.post("/agent/v1/packets", content=EVENT, headers=packet(5))
    again = await agent.post("/agent/v1/packets", content=EVENT, headers=packet(5))
    older = await agent.post("/agent/v1/packets", content=EVENT, headers=packet(4))
    assert "duplicate" not in first.json()
    assert again.json()["duplicate"] is True
    assert older.json()["duplicate"] is True
    assert len(await served(server)) == 1


async def test_the_same_packet_sent_at_once_is_stored_once(server, agent):
    answers = await asyncio.gather(
        *(agent.post("/agent/v1/packets", content=EVENT, headers=packet()) for _ in range(8))
    )
    assert all(answer.status_code == 200 for answer in answers)
    assert sum(not answer.json().get("duplicate", False) for answer in answers) == 1
    assert len(await served(server)) == 1


async def test_another_spool_counts_for_itself(server, agent):
    for spool in ("one", "two"):
        answer = await agent.post("/agent/v1/packets", content=EVENT, headers=packet(1, spool))
        assert "duplicate" not in answer.json()
    assert len(await served(server)) == 2


async def test_bad_lines_become_dead_letters_and_the_rest_is_stored(server, agent):
    body = b"\n".join([EVENT, b"{broken", b"\xff\xfe", b"", b"[1]", EVENT.replace(b'"a"', b'"b"')])
    answer = await agent.post("/agent/v1/packets", content=body, headers=packet())
    assert answer.json() == {"packet": 1, "events": 2, "dead": 3}
    assert [event["Id"] for event in await served(server)] == ["a", "b"]


async def test_a_packet_that_cannot_be_unpacked_is_kept_and_the_stream_goes_on(server, agent):
    headers = packet(1, **{"Content-Encoding": "zstd"})
    answer = await agent.post("/agent/v1/packets", content=b"no zstd", headers=headers)
    assert answer.json() == {"packet": 1, "events": 0, "dead": 1}
    after = await agent.post("/agent/v1/packets", content=EVENT, headers=packet(2))
    assert after.json()["events"] == 1


async def test_an_agent_cannot_speak_for_another(server, agent):
    forged = b'{"EventType":"process","Id":"f","AgentId":"other","ReceivedTimestamp":1,"X":[1, 2]}'
    await agent.post("/agent/v1/packets", content=forged, headers=packet())
    event = (await served(server))[0]
    assert event["AgentId"] == agent.agent_id
    assert event["ReceivedTimestamp"] > 1_700_000_000_000_000
    assert event["X"] == [1, 2]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Deodar-Spool": "s"},
        {"Deodar-Packet": "1"},
        packet(0),
        packet(-1),
        packet("x"),
        packet(1, "../x"),
        packet(1, **{"Content-Encoding": "br"}),
    ],
)
async def test_bad_headers_are_refused(server, agent, headers):
    answer = await agent.post("/agent/v1/packets", content=EVENT, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Bad Request")


async def test_certificates_of_others_are_refused(server):
    foreign = certificates.make_authority("other")
    request, key = certificates.make_request("x")
    issued = certificates.Pair(certificates.issue_client(foreign, request, "x"), key)
    not_enrolled = certificates.Pair(
        certificates.issue_client(server.installation.authority, request, "x"), key
    )
    expected = {None: 401, self_made(1): 403, issued: 403, not_enrolled: 403}
    for pair, status in expected.items():
        for method, path in (("POST", "/agent/v1/packets"), ("GET", "/agent/v1/hello")):
            answer = await server.client(pair).request(method, path, headers=packet())
            assert answer.status_code == status
            assert "error" in answer.json()


async def test_an_agents_certificate_gives_no_access_to_events(server, agent):
    answer = await agent.get("/kata/events_api/v1/some-id/events")
    assert answer.status_code == 401


async def test_a_revoked_agent_is_out_with_its_next_request(server, agent):
    assert (await agent.get("/agent/v1/hello")).status_code == 200
    server.endpoints.revoke(agent.agent_id)
    assert (await agent.get("/agent/v1/hello")).status_code == 403
    refused = await agent.post("/agent/v1/packets", content=EVENT, headers=packet())
    assert refused.status_code == 403


async def test_a_stranger_is_refused_before_the_body_is_read(server):
    """The answer comes although the announced body never does."""
    context = contexts.pinned_client([server.installation.pin], self_made(1))
    target = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(target.hostname, target.port, ssl=context)
    head = "POST /agent/v1/packets HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n"
    writer.write((head + "Deodar-Spool: s\r\nDeodar-Packet: 1\r\n\r\n").encode())
    await writer.drain()
    line = await asyncio.wait_for(reader.readline(), 10)
    assert line.startswith(b"HTTP/1.1 403")
    writer.close()


async def test_hello_tells_id_and_time_and_notes_the_contact(server, agent):
    answer = (
        await agent.get("/agent/v1/hello", headers={"User-Agent": "deodar-agent/9.8.7"})
    ).json()
    assert answer["server_id"] == server.installation.server_id
    assert answer["time_us"] > 1_700_000_000_000_000
    for _ in range(500):  # contacts are written once a second
        endpoint = server.endpoints.list()[0]
        if endpoint.last_contact_us:
            break
        await asyncio.sleep(0.02)
    assert endpoint.last_contact_us > 0
    assert endpoint.agent_version == "9.8.7"
    assert endpoint.address == "127.0.0.1"


async def test_an_enrolment_token_is_good_once(server):
    invited = server.endpoints.invite(server.url, server.installation.pin, 60)
    told = read_token(invited.token)
    assert told["url"] == server.url
    assert told["pin"] == server.installation.pin
    request, _ = certificates.make_request("x")
    asked = {"token": told["secret"], "request": request.decode(), "host": {"name": "h"}}
    client = server.client(None)
    answers = await asyncio.gather(*(client.post("/agent/v1/enroll", json=asked) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 403, 403, 403, 403]
    given = next(answer.json() for answer in answers if answer.status_code == 200)
    assert certificates.subject_name(given["certificate"].encode()) == given["agent_id"]
    assert given["authority"].encode() == server.installation.authority.certificate
    assert [endpoint.agent_id for endpoint in server.endpoints.list()] == [given["agent_id"]]


async def test_bad_enrolments_are_refused_and_leave_the_token_good(server):
    invited = server.endpoints.invite(server.url, server.installation.pin, 60)
    secret = read_token(invited.token)["secret"]
    request = certificates.make_request("x")[0].decode()
    client = server.client(None)
    for asked, status in (
        ({"token": secret, "request": "nonsense"}, 403),
        ({"token": "wrong", "request": request}, 403),
        ({"token": secret}, 400),
        ([1], 400),
    ):
        assert (await client.post("/agent/v1/enroll", json=asked)).status_code == status
    assert (await client.post("/agent/v1/enroll", content=b"\xff{")).status_code == 400
    assert (await client.post("/agent/v1/enroll", content=b" " * 70_000)).status_code == 413
    good = await client.post("/agent/v1/enroll", json={"token": secret, "request": request})
    assert good.status_code == 200


class TestBounds:
    @pytest.fixture
    def settings(self) -> EdrSettings:
        ingest = Ingest(
            max_packet_bytes=100_000,
            max_packet_wire_bytes=50_000,
            max_packet_events=10,
            body_timeout=0.5,
        )
        return EdrSettings(host="127.0.0.1", port=0, names=("127.0.0.1",), ingest=ingest)

    @pytest.mark.parametrize(
        ("encoding", "body"),
        [
            ("gzip", gzip.compress(b" " * 50_000_000)),
            ("zstd", zstandard.compress(b" " * 50_000_000)),
            ("identity", b" " * 60_000),
            ("identity", b"\n".join([EVENT] * 11)),
        ],
    )
    async def test_what_is_too_large_is_refused(self, server, agent, encoding, body):
        headers = packet(1, **{"Content-Encoding": encoding})
        answer = await agent.post("/agent/v1/packets", content=body, headers=headers)
        assert answer.status_code == 413
        good = await agent.post("/agent/v1/packets", content=EVENT, headers=packet(1))
        assert good.json() == {"packet": 1, "events": 1, "dead": 0}

    async def test_a_body_that_does_not_come_in_time_is_given_up(self, server):
        _, pair = await server.agent()
        context: ssl.SSLContext = contexts.pinned_client([server.installation.pin], pair)
        target = urlsplit(server.url)
        reader, writer = await asyncio.open_connection(target.hostname, target.port, ssl=context)
        head = "POST /agent/v1/packets HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
        writer.write((head + "Deodar-Spool: s\r\nDeodar-Packet: 1\r\n\r\n{").encode())
        await writer.drain()
        line = await asyncio.wait_for(reader.readline(), 10)
        assert line.startswith(b"HTTP/1.1 408")
        writer.close()


class TestPlaces:
    @pytest.fixture
    def settings(self) -> EdrSettings:
        ingest = Ingest(body_timeout=2, large_body=2048, large_bodies=1)
        return EdrSettings(host="127.0.0.1", port=0, names=("127.0.0.1",), ingest=ingest)

    async def test_a_large_body_waits_for_its_place_and_small_ones_do_not(self, server):
        agent_id, pair = await server.agent()
        assert agent_id
        client = server.client(pair)
        context: ssl.SSLContext = contexts.pinned_client([server.installation.pin], pair)
        target = urlsplit(server.url)
        reader, writer = await asyncio.open_connection(target.hostname, target.port, ssl=context)
        head = "POST /agent/v1/packets HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n"
        writer.write((head + "Deodar-Spool: slow\r\nDeodar-Packet: 1\r\n\r\n{").encode())
        await writer.drain()
        small = await client.post("/agent/v1/packets", content=EVENT, headers=packet(1))
        assert small.status_code == 200
        large = client.post("/agent/v1/packets", content=EVENT * 99, headers=packet(2))
        refused, line = await asyncio.gather(large, reader.readline())
        assert line.startswith(b"HTTP/1.1 408")
        assert refused.status_code in (200, 503)  # its turn comes as its patience ends
        after = await client.post("/agent/v1/packets", content=EVENT * 99, headers=packet(3))
        assert after.status_code == 200
        writer.close()


async def test_a_store_that_takes_nothing_means_503_and_nothing_is_lost(server, agent, engine):
    engine.command("RENAME TABLE edr_events TO edr_events_away")
    try:
        answer = await agent.post("/agent/v1/packets", content=EVENT, headers=packet())
        second = await agent.post("/agent/v1/packets", content=EVENT, headers=packet(2))
    finally:
        engine.command("RENAME TABLE edr_events_away TO edr_events")
    assert answer.status_code == 503
    assert second.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    for _ in range(200):
        answer = await agent.post("/agent/v1/packets", content=EVENT, headers=packet())
        if answer.status_code == 200:
            break
        await asyncio.sleep(0.05)
    assert answer.json()["duplicate"] is True  # the block was kept, and tried again
    third = await agent.post("/agent/v1/packets", content=EVENT, headers=packet(2))
    assert third.json() == {"packet": 2, "events": 1, "dead": 0}
    assert len(await served(server)) == 2


def line(name: str) -> bytes:
    return EVENT.replace(b'"a"', b'"%s"' % name.encode())


class TestPacketsPutTogether:
    """Several packets in one request, to a server in a process of its own."""

    @pytest.fixture
    async def agent(self, remote):
        agent_id, pair = await remote.agent()
        client = remote.client(pair)
        client.agent_id = agent_id
        return client

    @pytest.fixture
    def stored(self, remote, agent):
        """Return a function that gives the ids of this agent's events in the log, in order."""

        async def read() -> list[str]:
            system = remote.system("reader", 3)
            answer = await system.get()
            if answer.status_code == 401:  # the module's first
                await asyncio.to_thread(remote.register.accept, system.id)
                answer = await system.get()
            found = answer.json()["events"]
            return [event["Id"] for event in found if event["AgentId"] == agent.agent_id]

        return read

    @staticmethod
    async def send(agent, first: object, last: object, *names: str, spool: str = "s"):
        """Send events as an agent does: a zstd frame for each packet, one after another."""
        body = b"".join(zstandard.compress(line(name) + b"\n") for name in names)
        headers = packet(last, spool, **{"Content-Encoding": "zstd"})
        headers["Deodar-Packet-First"] = str(first)
        return await agent.post("/agent/v1/packets", content=body, headers=headers)

    async def test_of_what_is_partly_there_the_rest_is_asked_for(self, agent, stored):
        for number, name in ((1, "a"), (2, "b")):
            alone = await self.send(agent, number, number, name)
            assert alone.json() == {"packet": number, "events": 1, "dead": 0}
        partly = await self.send(agent, 1, 4, "a", "b", "c", "d")
        assert partly.status_code == 409
        told = partly.json()
        assert told["committed"] == 2
        assert told["error"].endswith("send again from 3 on")
        rest = await self.send(agent, told["committed"] + 1, 4, "c", "d")
        assert rest.json() == {"packet": 4, "events": 2, "dead": 0}
        assert await stored() == ["a", "b", "c", "d"]

    async def test_the_first_one_alone_is_enough_for_a_conflict(self, agent, stored):
        await self.send(agent, 5, 5, "a")
        assert (await self.send(agent, 5, 6, "a", "b")).json()["committed"] == 5
        assert (await self.send(agent, 6, 6, "b")).status_code == 200
        assert await stored() == ["a", "b"]

    async def test_what_is_there_whole_is_acknowledged_again(self, agent, stored):
        whole = await self.send(agent, 1, 3, "a", "b", "c")
        assert whole.json() == {"packet": 3, "events": 3, "dead": 0}
        for first, last, names in ((1, 3, "abc"), (2, 3, "bc"), (1, 2, "ab"), (3, 3, "c")):
            again = await self.send(agent, first, last, *names)
            assert again.json() == {"packet": last, "events": 0, "dead": 0, "duplicate": True}
        assert await stored() == ["a", "b", "c"]

    async def test_numbers_may_be_left_out(self, agent, stored):
        """Packets that an agent had to give up leave gaps."""
        await self.send(agent, 1, 1, "a")
        later = await self.send(agent, 7, 9, "b", "c")
        assert later.json() == {"packet": 9, "events": 2, "dead": 0}
        assert await stored() == ["a", "b", "c"]

    async def test_each_spool_has_its_own_numbers(self, agent, stored):
        await self.send(agent, 1, 2, "a", "b", spool="one")
        other = await self.send(agent, 1, 3, "c", "d", "e", spool="two")
        assert other.json() == {"packet": 3, "events": 3, "dead": 0}
        assert await stored() == ["a", "b", "c", "d", "e"]

    async def test_of_what_comes_at_once_each_event_is_there_once(self, agent, stored):
        """An agent that gave up waiting sends more, or less, while the first try goes on."""
        sent = ["a", "ab", "abc", "abcd"] * 3
        pending = [self.send(agent, 1, len(names), *names) for names in sent]
        statuses = {answer.status_code for answer in await asyncio.gather(*pending)}
        assert statuses <= {200, 409}
        answer = await self.send(agent, 1, 4, *"abcd")
        if answer.status_code == 409:
            first = answer.json()["committed"] + 1
            answer = await self.send(agent, first, 4, *"abcd"[first - 1 :])
        assert answer.status_code == 200
        assert await stored() == ["a", "b", "c", "d"]

    async def test_what_cannot_be_unpacked_is_no_dead_letter_when_it_is_partly_there(
        self, remote, agent
    ):
        await self.send(agent, 1, 1, "a")
        letters = await self.dead_letters(remote)
        headers = packet(2, "s", **{"Content-Encoding": "zstd", "Deodar-Packet-First": "1"})
        answer = await agent.post("/agent/v1/packets", content=b"no zstd", headers=headers)
        assert (answer.status_code, answer.json()["committed"]) == (409, 1)
        assert await self.dead_letters(remote) == letters

    @staticmethod
    async def dead_letters(remote) -> int:
        status = await asyncio.to_thread(remote.local.get, "/status")
        return json.loads(status)["dead_letters"]

    @pytest.mark.parametrize("first", ["", "0", "-1", "x", "1.0", "01", "3", "9" * 19])
    async def test_a_malformed_first_number_is_refused(self, agent, stored, first):
        answer = await self.send(agent, first, 2, "a")
        assert answer.status_code == 400
        assert "Deodar-Packet-First" in answer.json()["error"]
        taken = await self.send(agent, 1, 2, "a")
        assert "duplicate" not in taken.json()
