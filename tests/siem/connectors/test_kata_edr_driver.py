from __future__ import annotations

import asyncio
import contextlib
import gzip

import msgspec
import pytest
import zstandard
from tests.siem.scripted import Reply, ScriptedServer, page, refusal, server_pair

from deodar.kit.directory import StateDirectory
from deodar.siem.connectors.kata_edr_driver import Driver
from deodar.siem.connectors.kata_edr_settings import KataEdrSettings
from deodar.siem.connectors.kata_edr_trust import server_contexts
from deodar.tls.certificates import self_signed

EXTERNAL_ID = "7f8a1c1e-5f0d-4d58-9d5a-9f6a2b3c4d5e"
IDENTITY = self_signed("collector")


class Kept:
    """A sink that keeps everything in memory."""

    def __init__(self) -> None:
        self.delivered, self.aside, self.statuses = [], [], []
        self.counts, self.answers, self.lost = {}, [], []
        self.changes = asyncio.Condition()

    async def deliver(self, command, body):
        self.delivered.append((command.token_before, command.token_after, body))
        await self._notify()

    async def keep_aside(self, command, body):
        self.aside.append((command.reason, body))
        await self._notify()

    def count(self, what, number=1):
        self.counts[what] = self.counts.get(what, 0) + number

    async def answered(self, url, *, resumed):
        self.answers.append((url, resumed))

    async def token_lost(self, url):
        self.lost.append(url)

    def changed(self, status):
        self.statuses.append(status)
        self._task = asyncio.create_task(self._notify())

    async def _notify(self):
        async with self.changes:
            self.changes.notify_all()

    async def until(self, condition, limit=20.0):
        async with asyncio.timeout(limit), self.changes:
            await self.changes.wait_for(condition)

    def said(self, text):
        return any(text in status.reason for status in self.statuses)

    @property
    def tokens(self):
        return [after for _, after, _ in self.delivered]


def pages(*replies):
    """Answer with these in turn, then with nothing new for ever."""

    def script(asked):
        if asked.number < len(replies):
            return replies[asked.number]
        return page(asked.token or "end", [], delay=0.05)

    return script


@contextlib.asynccontextmanager
async def driving(script, tmp_path, token=None, **changes):
    async with ScriptedServer(script, tmp_path) as server:
        settings = KataEdrSettings(
            urls=[server.url], external_id=EXTERNAL_ID, pins=[server.pin], client_timeout=5.0
        )
        settings = msgspec.structs.replace(settings, **changes)
        sink = Kept()
        driver = Driver(
            settings, server_contexts(settings, IDENTITY, StateDirectory(tmp_path)), sink
        )
        task = asyncio.create_task(driver.run(token))
        try:
            yield server, sink, driver
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def test_pages_are_fetched_one_after_another_with_their_tokens(tmp_path):
    script = pages(page("t1", [{"a": 1}]), page("t2", [{"a": 2}]))
    async with driving(script, tmp_path) as (server, sink, driver):
        await sink.until(lambda: sink.tokens == ["t1", "t2"])
        await server.until(lambda: len(server.asked) >= 3)
        assert driver.status.colour == "green"
    assert [asked.token for asked in server.asked[:3]] == [None, "t1", "t2"]
    assert server.asked[0].path == f"/kata/events_api/v1/{EXTERNAL_ID}/events"


@pytest.mark.parametrize(
    ("pack", "name"),
    [
        (gzip.compress, "gzip"),
        (zstandard.ZstdCompressor().compress, "zstd"),
    ],
)
async def test_packed_answers_of_another_content_type_are_taken(tmp_path, pack, name):
    plain = page("t1", [{"a": 1}]).body
    headers = {"content-encoding": name, "content-type": "application/octet-stream"}
    async with driving(pages(Reply(200, pack(plain), headers)), tmp_path) as (_, sink, _driver):
        await sink.until(lambda: sink.tokens)
        assert sink.delivered[0][2] == plain


async def test_awkward_tokens_and_filters_come_back_unchanged(tmp_path):
    token = "a+b/c==&d %25é\u2028#?"
    wanted = "Name == 'a&b+c' AND x != \"100%\""
    script = pages(page(token, []))
    async with driving(script, tmp_path, filter=wanted) as (server, _sink, _driver):
        await server.until(lambda: len(server.asked) >= 2)
        assert server.asked[1].token == token
        assert server.asked[1].query["filter"] == wanted


@pytest.mark.parametrize(
    "trouble",
    [
        refusal(500, "boom"),
        refusal(401, "Unauthorized"),
        refusal(503, "busy", retry_after="0"),
        Reply(302, b"", {"location": "https://127.0.0.1:1/"}),
        Reply(200, b"<html>not json</html>", {"content-type": "text/html"}),
        Reply(200, b'{"events":[]}'),
        Reply(200, b'{"events":[{"a":1}],"continuationToken":"t9"}', cut_after=20),
        Reply(200, b"\x1f\x8bbroken", {"content-encoding": "gzip"}),
        Reply(200, b"{}", {"content-encoding": "br"}),
        Reply(drop=True),
    ],
    ids=lambda reply: f"{reply.status}-{reply.body[:8]!r}-{reply.cut_after}",
)
async def test_after_any_trouble_the_same_token_is_asked_for_again(tmp_path, trouble):
    script = pages(page("t1", [{"a": 1}]), trouble, page("t2", [{"a": 2}]))
    async with driving(script, tmp_path) as (server, sink, _driver):
        await sink.until(lambda: sink.tokens == ["t1", "t2"])
    assert [asked.token for asked in server.asked[:3]] == [None, "t1", "t1"]


async def test_a_redirect_is_not_followed(tmp_path):
    async with ScriptedServer(pages(), tmp_path) as other:
        away = Reply(302, b"", {"location": f"https://{other.url}/"})
        async with driving(lambda _asked: away, tmp_path) as (server, sink, _driver):
            await server.until(lambda: len(server.asked) >= 2)
            assert "redirect" in sink.statuses[-1].reason
        assert other.asked == []


async def test_a_slow_answer_is_given_up_and_fewer_events_are_asked_for(tmp_path):
    script = pages(page("t1", [], delay=30.0))
    async with driving(script, tmp_path, client_timeout=0.5) as (server, sink, _driver):
        await server.until(lambda: len(server.asked) >= 2)
        assert server.asked[1].query["max_events"] == "5000"
        await sink.until(lambda: sink.statuses[-1].colour == "green")
        assert any("client timeout" in status.reason for status in sink.statuses)


async def test_a_body_larger_than_allowed_is_given_up_unread(tmp_path):
    bomb = gzip.compress(b" " * 3_000_000)
    script = pages(Reply(200, bomb, {"content-encoding": "gzip"}), page("t1", [{"a": 1}]))
    async with driving(script, tmp_path, max_body_bytes=1_000_000) as (server, sink, _driver):
        await sink.until(lambda: sink.tokens == ["t1"])
        assert "max_events" in server.asked[1].query


async def test_a_misshapen_answer_is_kept_aside(tmp_path):
    async with driving(pages(Reply(200, b'{"events":5}')), tmp_path) as (_, sink, _driver):
        await sink.until(lambda: sink.aside)
        assert sink.aside[0][1] == b'{"events":5}'
        assert sink.delivered == []


async def test_another_server_is_recognised_by_its_certificate(tmp_path):
    pins = ["00" * 32]
    async with driving(pages(), tmp_path, pins=pins) as (server, sink, _driver):
        await sink.until(lambda: sink.said("another server"))
        assert "connector.pins" in sink.statuses[-1].remedy
        assert server.asked == []


@pytest.mark.parametrize("way", ["ca", "insecure"])
async def test_a_server_is_known_by_authority_or_taken_as_it_is(tmp_path, way):
    (tmp_path / "ca.pem").write_bytes(server_pair().certificate)
    chosen = {"ca": "ca.pem"} if way == "ca" else {"insecure": True}
    async with driving(pages(page("t1", [])), tmp_path, pins=[], **chosen) as (server, _, _driver):
        await server.until(lambda: len(server.asked) >= 2)


async def test_without_pin_or_authority_the_systems_authorities_decide(tmp_path):
    (tmp_path / "secret.pem").write_bytes(IDENTITY.pem)
    async with driving(pages(), tmp_path, pins=[]) as (server, sink, _driver):
        await sink.until(lambda: sink.said("verify failed"))
        assert server.asked == []


async def test_beginning_anew_drops_token_and_running_request(tmp_path):
    script = pages(page("t1", []), page("never", [], delay=60.0), page("t2", [{"a": 1}]))
    async with driving(script, tmp_path, client_timeout=100.0) as (server, sink, driver):
        await server.until(lambda: len(server.asked) == 2)
        driver.begin_anew()
        await sink.until(lambda: "t2" in sink.tokens)
        assert server.asked[2].token is None


async def test_the_next_server_is_asked_when_one_is_down(tmp_path):
    async with ScriptedServer(pages(page("t1", [{"a": 1}])), tmp_path) as up:
        settings = KataEdrSettings(
            urls=["127.0.0.1:1", up.url], external_id=EXTERNAL_ID, pins=[up.pin]
        )
        sink = Kept()
        driver = Driver(
            settings, server_contexts(settings, IDENTITY, StateDirectory(tmp_path)), sink
        )
        task = asyncio.create_task(driver.run("t0"))
        await sink.until(lambda: sink.tokens == ["t1"])
        assert up.asked[0].token == "t0"
        task.cancel()
        await asyncio.wait([task])


async def test_a_proxy_of_the_environment_is_not_used(tmp_path, monkeypatch):
    for name in ("HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with driving(pages(page("t1", [])), tmp_path) as (server, _, _driver):
        await server.until(lambda: len(server.asked) >= 2)


async def test_answers_a_lost_token_and_no_progress_are_told_to_the_sink(tmp_path):
    lost = refusal(400, "Continuation token not found")
    script = pages(page("t1", [{"a": 1}]), lost, page("t1", [{"a": 1}]), page("t2", [{"a": 2}]))
    async with driving(script, tmp_path) as (server, sink, driver):
        await sink.until(lambda: sink.tokens == ["t1", "t2"])
        url = f"https://{server.url}"
        assert sink.answers[:2] == [(url, False), (url, True)]
        assert sink.lost == [url]
        assert sink.counts == {"stuck": 1}
        (state,) = driver.servers
        assert (state.url, state.failures, state.asked) == (url, 0, True)


async def test_an_answer_in_another_encoding_is_converted_before_its_token_is_read(tmp_path):
    body = '{"events":[{"a":"ж"}],"continuationToken":"ж"}'.encode("cp1251")
    broken = b'{"events":[{"a":"\x98"}],"continuationToken":"t2"}'
    script = pages(Reply(200, body), Reply(200, broken))
    async with driving(script, tmp_path, character_encoding="windows-1251") as (_, sink, _driver):
        await sink.until(lambda: sink.tokens == ["ж", "t2"])
        assert '"ж"'.encode() in sink.delivered[0][2]
        assert sink.counts == {"characters_replaced": 1}
