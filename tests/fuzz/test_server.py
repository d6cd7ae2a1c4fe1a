"""A running server: whatever is sent, no answer is its mistake, and it goes on to serve."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import strategies as st
from tests.conformance.conftest import kata  # noqa: F401  # a fixture

from .inputs import EVENT, FILTERS, NUMBERS, PACKED, PACKETS, TEXTS, bomb, documents

MISTAKES = {500, 501, 502, 504}
TARGETS = ("/agent/v1/packets", "/agent/v1/sync", "/agent/v1/renew", "/agent/v1/enroll")
ENCODINGS = st.sampled_from(["identity", "gzip", "zstd", "br", "\x7f"])


@pytest.fixture(scope="module")
def server(kata):  # noqa: F811
    kata.settings.set("events_api.rate", 0)
    kata.settings.set("events_api.fetch_timeout", 0)
    kata.settings.set("events_api.max_fetch_timeout", 0.1)
    return kata


class Line:
    """A connection that is opened again when the server has closed it."""

    def __init__(self, script) -> None:
        self._script = script
        self._connection: http.client.HTTPSConnection | None = None

    def ask(self, method: str, target: str, data: bytes, headers: dict[str, str]) -> int:
        for _ in range(2):
            try:
                connection = self._connection or self._script.connect()
                self._connection = connection
                connection.request(method, target, data or None, headers)
                answer = connection.getresponse()
                answer.read()
            except (http.client.HTTPException, OSError):
                self.close()
            else:
                return answer.status
        return 0  # closed without an answer: the body was too large to be waited for

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def test_requests_for_events(fuzzer, server):
    script = server.accepted()
    names = st.sampled_from(["filter", "max_events", "max_timeout", "continuation_token"])
    values = st.one_of(FILTERS.filter(lambda text: len(text) < 3000), NUMBERS, TEXTS)
    queries = st.dictionaries(names, values, max_size=4)
    base = f"/kata/events_api/v1/{script.id}/events?"

    with contextlib.closing(Line(script)) as line:

        def target(given: dict[str, str]) -> str:
            query = "&".join(f"{a}={quote(b.encode('utf-8', 'replace'))}" for a, b in given.items())
            status = line.ask("GET", base + query, b"", {})
            assert status in {200, 400, 404, 414, 431}, given
            return "" if status == 200 else f"{status}"

        tally = fuzzer.run("events API, running", queries, target)
    assert tally.taken
    assert tally.refused


def test_bodies_of_agents(fuzzer, server):
    bodies = st.one_of(PACKETS, documents(EVENT), PACKED.map(lambda pair: pair[1]))
    numbers = iter(range(1, 1 << 40))

    with contextlib.closing(Line(server._agent)) as line:

        def target(given: tuple[str, str, bytes]) -> str:
            path, encoding, data = given
            headers = {"Deodar-Spool": "fuzz", "Deodar-Packet": str(next(numbers))}
            status = line.ask("POST", path, data, {**headers, "Content-Encoding": encoding})
            assert status not in MISTAKES, given
            return "" if status == 200 else f"{status}"

        inputs = st.tuples(st.sampled_from(TARGETS), ENCODINGS, bodies)
        tally = fuzzer.run("agent API, running", inputs, target)
    assert tally.taken
    assert tally.refused


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_refused_and_costs_no_memory(server, encoding):
    packed = bomb(encoding, 512 << 20)
    with contextlib.closing(Line(server._agent)) as line:
        headers = {"Deodar-Spool": "bomb", "Deodar-Packet": "1", "Content-Encoding": encoding}
        before = memory(server)
        for _ in range(4):
            assert line.ask("POST", TARGETS[0], packed, headers) == 413
        assert memory(server) - before < 128 << 20
    assert server.script().get().status == 401


def test_slow_and_silent_clients_do_not_keep_others_waiting(server):
    script, held = server.accepted(), []
    for start in (
        b"",
        b"GET /kata/",
        b"POST /agent/v1/packets HTTP/1.1\r\nContent-Length: 99\r\n\r\n",
    ):
        for _ in range(20):
            link = script.connect()
            link.connect()
            if start:
                link.sock.sendall(start)
            held.append(link)
    bare = [socket.create_connection(place(server.url), 10) for _ in range(20)]  # no TLS at all
    try:
        began = time.monotonic()
        assert script.get().status == 200
        assert time.monotonic() - began < 5
    finally:
        for one in [*held, *bare]:
            one.close()


def test_it_still_serves(server):
    mark = server.put_marked(1)
    assert server.accepted().get(filter=mark).ids == ["0"]
    assert server.process.child.alive
    assert "request_failed" not in server.log


def memory(server) -> int:
    statm = Path(f"/proc/{server.process.child.pid}/statm").read_text()
    return int(statm.split()[1]) * 4096


def place(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("https://").rpartition(":")
    return host, int(port)
