"""Events by POST, over real sockets, with curl and httpx as senders."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import shutil
import ssl
import subprocess

import httpx
import pytest
import zstandard
from tests.siem.connectors.kept import KeptSink, free_port, running, until
from tests.siem.connectors.test_tcp import certificates  # noqa: F401 - a fixture

from deodar.kit.errors import SettingsError
from deodar.kit.serve import serve
from deodar.siem.connectors import gathering
from deodar.siem.connectors.http_in import HttpInConnector, HttpInSettings, Keys, mark_of
from deodar.siem.connectors.listening import ListenTls

TOKEN = "open-sesame-open-sesame"


@pytest.fixture
def sink():
    return KeptSink()


@contextlib.asynccontextmanager
async def service(sink, folder, state=None, **changes):
    """Serve a connector as the collector does; gives a client."""
    settings = HttpInSettings(port=free_port(), **changes)
    connector = HttpInConnector(settings, folder, sink)
    stop, ready = asyncio.Event(), asyncio.Event()
    async with running(connector, state):
        serving = asyncio.create_task(
            serve(connector.endpoints(), stop=stop, on_ready=lambda _bound: ready.set())
        )
        try:
            await asyncio.wait_for(ready.wait(), 10)
            scheme = "https" if settings.tls.certificate else "http"
            base = f"{scheme}://127.0.0.1:{settings.port}"
            async with httpx.AsyncClient(base_url=base, verify=False, timeout=20) as client:
                yield client
        finally:
            stop.set()
            await serving


async def test_lines_are_durable_when_they_are_answered_for(sink, tmp_path):
    async with service(sink, tmp_path) as client:
        answer = await client.post("/events", content=b"one\r\n\ntwo\nthree")
        assert (answer.status_code, answer.json()) == (200, {"accepted": 3})
        assert sink.arrived() == [("127.0.0.1", text) for text in (b"one", b"two", b"three")]
        empty = await client.post("/events", content=b"\n")
        assert empty.json() == {"accepted": 0}


async def test_a_json_array_and_one_object_are_taken_apart(sink, tmp_path):
    async with service(sink, tmp_path) as client:
        events = [{"a": 1}, {"b": ["x,y", {"c": "}"}]}]
        assert (await client.post("/events", json=events)).json() == {"accepted": 2}
        assert (await client.post("/events", json={"d": 4})).json() == {"accepted": 1}
        assert [json.loads(event) for event in sink.events()] == [*events, {"d": 4}]
        for broken in (b"[1,", b"nonsense", b"\xff"):
            headers = {"content-type": "application/json"}
            answer = await client.post("/events", content=broken, headers=headers)
            assert answer.status_code == 400
            assert "no JSON array" in answer.text


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress)],
)
async def test_packed_bodies_are_unpacked_within_bounds(sink, tmp_path, encoding, pack):
    async with service(sink, tmp_path, max_body_bytes=10_000) as client:
        headers = {"content-encoding": encoding}
        answer = await client.post("/events", content=pack(b"a\nb\n"), headers=headers)
        assert answer.json() == {"accepted": 2}
        bomb = pack(b"x" * 100_000_000)
        answer = await client.post("/events", content=bomb[:10_000], headers=headers)
        assert answer.status_code in (400, 413)
        assert sink.events() == [b"a", b"b"]


async def test_curl_posts_a_file(sink, tmp_path):
    (tmp_path / "events").write_bytes(b"".join(b"line %d\n" % n for n in range(5000)))
    async with service(sink, tmp_path) as client:
        words = ["--silent", "--data-binary", f"@{tmp_path}/events", f"{client.base_url}/events"]
        ran = await asyncio.to_thread(
            subprocess.run, [shutil.which("curl"), *words], capture_output=True, check=True
        )
    assert json.loads(ran.stdout) == {"accepted": 5000}
    assert len(sink.events()) == 5000


async def test_a_token_is_asked_for_before_a_body_is_read(sink, tmp_path):
    (tmp_path / "tokens").write_text(f"# two senders\n{TOKEN}\nanother-token-of-mine\n")
    async with service(sink, tmp_path, token_file="tokens") as client:
        for headers in ({}, {"authorization": "Bearer x"}, {"authorization": f"Basic {TOKEN}"}):
            answer = await client.post("/events", content=b"x", headers=headers)
            assert answer.status_code == 401
        for token in (TOKEN, "another-token-of-mine"):
            headers = {"authorization": f"Bearer {token}"}
            assert (await client.post("/events", content=b"x", headers=headers)).is_success
    assert sink.events() == [b"x", b"x"]
    assert sink.counts["unauthorized"] == 3


async def test_a_sender_may_be_known_by_its_certificate(sink, certificates):  # noqa: F811
    tls = ListenTls(certificate="listen.pem", client_ca="senders.pem")
    async with service(sink, certificates, tls=tls) as client:
        with pytest.raises(httpx.HTTPError):
            await client.post("/events", content=b"x")
        context = ssl.create_default_context(cafile=certificates / "ca.pem")
        context.load_cert_chain(certificates / "client.crt", certificates / "client.key")
        async with httpx.AsyncClient(verify=context, base_url=client.base_url) as known:
            assert (await known.post("/events", content=b"y")).is_success
    assert sink.events() == [b"y"]


async def test_a_full_journal_turns_away_and_says_when_to_come_again(sink, tmp_path):
    async with service(sink, tmp_path, answer_seconds=0.2) as client:
        sink.open.clear()
        slow = await client.post("/events", content=b"1", headers={"idempotency-key": "k"})
        assert (slow.status_code, slow.headers["retry-after"]) == (503, "10")
        sink.hindrance = "the journal is full"
        refused = await client.post("/events", content=b"2")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
        assert "journal is full" in refused.text
        assert (await client.get("/health")).status_code == 503
        sink.hindrance = ""
        sink.open.set()
        await until(lambda: sink.events() == [b"1"])
        again = await client.post("/events", content=b"1", headers={"idempotency-key": "k"})
        assert again.json() == {"accepted": 1}
        assert (await client.get("/health")).text == "ok\n"
    assert sink.events() == [b"1"]
    assert sink.counts["turned_away"] == 2


async def test_a_full_memory_turns_away(sink, tmp_path, monkeypatch):
    monkeypatch.setattr(gathering, "MOST_WAITING", 100)
    async with service(sink, tmp_path, answer_seconds=5.0) as client:
        sink.open.clear()
        first = asyncio.create_task(client.post("/events", content=b"x" * 200))
        await until(lambda: not sink.open.is_set() and sink._lock.locked())
        second = await client.post("/events", content=b"y")
        assert (second.status_code, second.headers["retry-after"]) == (429, "1")
        sink.open.set()
        assert (await first).is_success
    assert sink.events() == [b"x" * 200]


async def test_a_repeat_is_taken_once_also_after_a_restart(sink, tmp_path):
    named = {"idempotency-key": '"batch-1"'}
    async with service(sink, tmp_path) as client:
        both = [client.post("/events", content=b"a\nb", headers=named) for _ in range(2)]
        assert [one.json() for one in await asyncio.gather(*both)] == [{"accepted": 2}] * 2
    async with service(sink, tmp_path, state=sink.state) as client:
        again = await client.post("/events", content=b"a\nb", headers=named)
        assert again.json() == {"accepted": 2}
        assert sink.events() == [b"a", b"b"]
        other = await client.post("/events", content=b"c", headers=named)
        assert other.json() == {"accepted": 1}
    assert sink.events() == [b"a", b"b", b"c"]
    assert sink.counts["repeats"] >= 1


def test_only_the_last_keys_are_kept_and_a_foreign_state_is_none():
    keys = Keys(None)
    keys.add([f"k{n}" for n in range(300)])
    again = Keys(keys.state())
    assert "k299" in again
    assert "k0" not in again
    assert "k" not in Keys("nonsense")
    assert mark_of("", b"x") == mark_of("k" * 300, b"x") == ""
    assert mark_of("k", b"x") != mark_of("k", b"y")


async def test_other_paths_methods_and_events_that_are_too_long_are_refused(sink, tmp_path):
    async with service(sink, tmp_path, path="/in", max_event_bytes=100) as client:
        assert (await client.post("/events")).status_code == 404
        assert (await client.get("/in")).status_code == 405
        long = await client.post("/in", content=b"ok\n" + b"x" * 101)
        assert long.status_code == 413
        assert "101 bytes" in long.text
    assert sink.events() == []


@pytest.mark.parametrize("text", ["", "short\n"])
def test_a_file_without_good_tokens_is_told(sink, tmp_path, text):
    (tmp_path / "tokens").write_text(text)
    with pytest.raises(SettingsError, match="16 characters"):
        HttpInConnector(HttpInSettings(port=1, token_file="tokens"), tmp_path, sink)
    with pytest.raises(SettingsError, match="cannot read"):
        HttpInConnector(HttpInSettings(port=1, token_file="absent"), tmp_path, sink)
