"""The HTTP destination against real servers on loopback that answer as a script says."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import dataclass, field

import pytest
import zstandard
from tests.siem.batches import batch
from tests.siem.scripted import Reply, ScriptedServer, server_pair

from deodar.kit.errors import SettingsError
from deodar.siem.destinations.http import HttpDestination, HttpSettings
from deodar.siem.destinations.trust import TlsSettings
from deodar.siem.errors import DestinationRefused, DestinationUnavailable
from deodar.tls.certificates import fingerprint


@dataclass
class Receiver:
    """A plain HTTP server that keeps what it gets; `answers` are taken in turn, then 200."""

    answers: list[bytes] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    async def __aenter__(self) -> Receiver:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/in"
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()

    async def _serve(self, reader, writer) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.got.append((first, headers, body))
                answer = self.answers.pop(0) if self.answers else b"200 OK\r\n"
                if answer == b"cut":
                    break
                writer.write(b"HTTP/1.1 " + answer + b"content-length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    def ids(self) -> list[str]:
        return [json.loads(line)["ID"] for _, _, body in self.got for line in body.splitlines()]


def opened(tmp_path, *urls: str, **changes) -> HttpDestination:
    settings = HttpSettings(name="x", kind="http", urls=list(urls), **changes)
    return HttpDestination(settings, tmp_path)


async def test_a_batch_is_posted_with_its_id(tmp_path):
    (tmp_path / "token").write_text("secret-token\n")
    async with Receiver() as receiver:
        destination = opened(
            tmp_path, receiver.url, headers={"X-Tenant": "north"}, token_file="token"
        )
        size = await destination.deliver(batch(3))
        await destination.close()
    ((first, headers, body),) = receiver.got
    assert first == "POST /in HTTP/1.1"
    assert len(body) == size
    assert receiver.ids() == ["id-0", "id-1", "id-2"]
    assert headers["content-type"] == "application/x-ndjson"
    assert headers["deodar-batch"] == "batch-1"
    assert headers["deodar-part"] == "1/1"
    assert headers["idempotency-key"] == '"batch-1-1"'
    assert headers["x-tenant"] == "north"
    assert headers["authorization"] == "bearer secret-token"


@pytest.mark.parametrize(
    ("compression", "unpack"),
    [
        ("gzip", gzip.decompress),
        ("zstd", lambda body: zstandard.ZstdDecompressor().decompress(body)),
    ],
)
async def test_an_array_can_be_packed(tmp_path, compression, unpack):
    async with Receiver() as receiver:
        destination = opened(tmp_path, receiver.url, layout="array", compression=compression)
        await destination.deliver(batch(3))
        await destination.close()
    ((_, headers, body),) = receiver.got
    assert headers["content-encoding"] == compression
    assert [event["ID"] for event in json.loads(unpack(body))] == ["id-0", "id-1", "id-2"]


async def test_a_new_try_sends_the_same_parts_and_only_those_that_are_missing(tmp_path):
    async with Receiver([b"200 OK\r\n", b"503 Busy\r\nretry-after: 7\r\n"]) as receiver:
        destination = opened(tmp_path, receiver.url, max_body_bytes=1024)
        big = batch(12)
        with pytest.raises(DestinationUnavailable, match="answers 503") as told:
            await destination.deliver(big)
        assert told.value.retry_after == 7.0
        await destination.deliver(big)
        await destination.close()
    parts = [headers["deodar-part"] for _, headers, _ in receiver.got]
    total = int(parts[0].split("/")[1])
    assert total > 2
    assert parts == [f"{n}/{total}" for n in (1, 2, *range(2, total + 1))]
    assert receiver.got[1][2] == receiver.got[2][2]
    assert sorted(set(receiver.ids())) == sorted(f"id-{n}" for n in range(12))


async def test_a_refused_part_does_not_keep_back_the_others(tmp_path):
    async with Receiver([b"200 OK\r\n", b"400 Bad\r\n"]) as receiver:
        destination = opened(tmp_path, receiver.url, max_body_bytes=1024)
        with pytest.raises(DestinationRefused, match="answers 400") as told:
            await destination.deliver(batch(12))
        await destination.close()
    assert 0 < told.value.rows < 12
    parts = {headers["deodar-part"] for _, headers, _ in receiver.got}
    assert len(parts) == len(receiver.got) == int(receiver.got[0][1]["deodar-part"].split("/")[1])


@pytest.mark.parametrize("answer", [b"401 No\r\n", b"404 No\r\n", b"429 Slow\r\n", b"500 E\r\n"])
async def test_what_may_be_mended_is_no_refusal(tmp_path, answer):
    async with Receiver([answer]) as receiver:
        destination = opened(tmp_path, receiver.url)
        with pytest.raises(DestinationUnavailable, match=f"answers {answer[:3].decode()}"):
            await destination.deliver(batch(1))
        await destination.close()


async def test_a_cut_or_dead_url_gives_way_to_the_next(tmp_path):
    async with Receiver([b"cut"]) as cut, Receiver() as good:
        dead = "http://127.0.0.1:9/in"
        destination = opened(tmp_path, dead, cut.url, good.url)
        await destination.deliver(batch(2, "b1"))
        await destination.deliver(batch(2, "b2"))
        await destination.close()
    assert len(cut.got) == 1
    assert [headers["deodar-batch"] for _, headers, _ in good.got] == ["b1", "b2"]


async def test_round_robin_shares_between_urls(tmp_path):
    async with Receiver() as first, Receiver() as second:
        destination = opened(tmp_path, first.url, second.url, policy="round_robin")
        for number in range(4):
            await destination.deliver(batch(1, f"b{number}"))
        await destination.close()
    assert (len(first.got), len(second.got)) == (2, 2)


async def test_a_server_that_does_not_answer_is_given_up_after_the_timeout(tmp_path):
    async with ScriptedServer(lambda _asked: Reply(delay=30.0), tmp_path) as server:
        destination = opened(
            tmp_path, f"https://{server.url}/in", timeout=0.3, tls=TlsSettings(insecure=True)
        )
        async with asyncio.timeout(10):
            with pytest.raises(DestinationUnavailable, match="ReadTimeout"):
                await destination.deliver(batch(1))
        await destination.close()


async def test_of_a_long_answer_only_the_beginning_is_read(tmp_path):
    async def endless(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 E\r\ncontent-length: 9999999999\r\n\r\n")
        while True:
            writer.write(b"no such luck " * 1000)
            await writer.drain()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    destination = opened(tmp_path, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    async with asyncio.timeout(20):
        with pytest.raises(DestinationUnavailable, match="answers 500: no such luck") as told:
            await destination.deliver(batch(1))
    assert len(str(told.value)) < 500
    await destination.close()
    server.close()


async def test_a_pinned_server_is_talked_to_and_another_is_not(tmp_path):
    async with ScriptedServer(lambda _asked: Reply(), tmp_path) as server:
        url = f"https://{server.url}/in"
        good = TlsSettings(pins=[fingerprint(server_pair().certificate)])
        destination = opened(tmp_path, url, tls=good, health_path="/health")
        assert "/health: answers 200" in await destination.check()
        await destination.close()
        destination = opened(tmp_path, url, tls=TlsSettings(pins=["11" * 32]))
        with pytest.raises(DestinationUnavailable, match="another server"):
            await destination.check()
        await destination.close()


async def test_the_check_tells_a_health_page_that_is_not_well(tmp_path):
    async with Receiver([b"503 Sick\r\n"]) as receiver:
        destination = opened(tmp_path, receiver.url, health_path="/health")
        with pytest.raises(DestinationUnavailable, match="/health: answers 503"):
            await destination.check()
        await destination.close()


def test_an_empty_token_is_refused(tmp_path):
    (tmp_path / "token").write_text("\n")
    with pytest.raises(SettingsError, match="holds no token"):
        opened(tmp_path, "http://x/", token_file="token")
