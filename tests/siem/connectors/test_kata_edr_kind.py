"""The connector behind the face that all have; the rest is in the tests of its driver."""

from __future__ import annotations

import os
import time

import pytest
from tests.siem.connectors.kept import KeptSink, running, until
from tests.siem.scripted import ScriptedServer, page, refusal

from deodar.kit.errors import StateError
from deodar.siem.connectors.kata_edr_kind import KIND, LAST_ANSWER, KataEdrConnector
from deodar.siem.connectors.kata_edr_settings import KataEdrSettings
from deodar.siem.errors import ConnectorError
from deodar.tls.certificates import fingerprint, self_signed

EXTERNAL_ID = "7f8a1c1e-5f0d-4d58-9d5a-9f6a2b3c4d5e"


@pytest.fixture
def home(tmp_path):
    (tmp_path / "secret.pem").write_bytes(self_signed("deodar-x").pem)
    return tmp_path


def settings(url="edr:9443", **changes):
    return KataEdrSettings(urls=[url], external_id=EXTERNAL_ID, **changes)


async def test_answers_are_handed_over_with_the_token_as_the_state(home):
    def script(asked):
        if asked.number == 0:
            return refusal(401, "Unauthorized")
        position = int(asked.token or 0)
        return page(
            str(min(position + 1, 2)), [{"n": position}] if position < 2 else [], delay=0.05
        )

    sink = KeptSink()
    async with ScriptedServer(script, home) as server:
        wanted = settings(server.url, pins=[server.pin], character_encoding="cp1251")
        async with running(KataEdrConnector(wanted, home, sink)):
            await until(lambda: sink.state == "2")
            await until(lambda: sink.colour == "green")
    first, second = sink.handovers
    assert (first.before, first.after, second.before) == (None, "1", "1")
    assert (first.framing, first.encoding) == (
        "kata",
        "",
    )  # converted before that
    assert (home / LAST_ANSWER).exists()
    assert "authorization" in sink.statuses[0].reason + sink.statuses[1].reason


async def test_an_answer_that_cannot_be_used_is_kept_aside(home):
    sink = KeptSink()
    async with ScriptedServer(lambda _asked: page("", []), home) as server:
        connector = KataEdrConnector(settings(server.url, pins=[server.pin]), home, sink)
        async with running(connector):
            await until(lambda: sink.aside)
        with pytest.raises(ConnectorError, match="only a run"):
            await connector.check()
    assert "continuationToken" in sink.aside[0][1]


def test_what_an_administrator_sees_and_what_a_state_belongs_to(home):
    digest = fingerprint((home / "secret.pem").read_bytes())
    assert KIND.facts(settings(), home) == {
        "edr_server": "https://edr:9443",
        "external_id": EXTERNAL_ID,
        "certificate_sha256": digest,
    }
    before = KIND.identity(settings(), home)
    assert KIND.identity(settings("other"), home) != before
    (home / "secret.pem").write_bytes(self_signed("another").pem)
    assert KIND.identity(settings(), home) != before


def test_a_missing_certificate_is_told(tmp_path):
    with pytest.raises(StateError, match=r"secret\.pem"):
        KataEdrConnector(settings(), tmp_path, KeptSink())


async def test_a_gap_is_counted_and_kept_with_its_reason(home):
    (home / LAST_ANSWER).touch()
    os.utime(home / LAST_ANSWER, (time.time() - 10_000, time.time() - 10_000))
    sink = KeptSink("t1")

    def script(asked):
        if asked.number == 0:
            return page("t2", [])
        return refusal(400, "Continuation token not found")

    async with ScriptedServer(script, home) as server:
        connector = KataEdrConnector(settings(server.url, pins=[server.pin]), home, sink)
        async with running(connector, "t1"):
            await until(lambda: sink.counts.get("gaps") == 2)
            (state,) = connector.servers()
            assert "not found" in state.error
    assert "2.8 hours" in sink.aside[0][1]
    assert "lost the token" in sink.aside[1][1]
    assert [body for _, _, body in sink.aside] == [b"", b""]
