"""Polling a scripted service on a real socket: cursors, errors, repeats, restarts."""

from __future__ import annotations

import gzip
import json

import pytest
from tests.siem.connectors.kept import KeptSink, running, until
from tests.siem.connectors.web import Reply, Web

from deodar.kit.errors import SettingsError
from deodar.siem.connectors import http_poll
from deodar.siem.connectors.backoff import Backoff
from deodar.siem.connectors.http_poll import HttpPollConnector, HttpPollSettings
from deodar.siem.errors import ConnectorError


@pytest.fixture
def sink():
    return KeptSink()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(http_poll, "_BACKOFF", Backoff(0.02, 0.05))


def made(sink, url, folder, **changes):
    settings = HttpPollSettings(url=f"{url}/events", **{"interval_seconds": 0.05, **changes})
    assert settings.problem() == ""
    return HttpPollConnector(settings, folder, sink)


def paged(asked, key="cursor") -> Reply:
    """Five pages of two events; the cursor of the last one stays."""
    number = int(asked.query.get(key, 0))
    items = [{"id": 2 * number + n} for n in range(2)] if number < 5 else []
    return Reply(json.dumps({"items": items, "next": min(number + 1, 5)}).encode())


def ids(sink) -> list[int]:
    return [json.loads(event)["id"] for event in sink.events()]


async def test_pages_are_asked_for_by_the_cursor_and_each_taken_once(sink, tmp_path):
    options = {"events_path": "items", "cursor": "json", "cursor_path": "next"}
    async with Web(paged) as web:
        async with running(made(sink, web.url, tmp_path, interval_seconds=600.0, **options)):
            await until(lambda: len(sink.events()) == 10)  # at once, not after an interval
            await until(lambda: sink.colour == "green")
        assert ids(sink) == list(range(10))
        async with running(made(sink, web.url, tmp_path, **options), sink.state):
            count = len(web.asked)
            await until(lambda: len(web.asked) > count + 2)
        assert web.asked[-1].query == {"cursor": "5"}
    assert ids(sink) == list(range(10))


async def test_the_last_events_id_may_be_the_cursor(sink, tmp_path):
    def script(asked):
        after = int(asked.query.get("after", -1))
        return Reply(json.dumps([{"id": n} for n in range(after + 1, min(after + 4, 8))]).encode())

    options = {"cursor": "event", "cursor_path": "id", "cursor_param": "after"}
    async with Web(script) as web, running(made(sink, web.url, tmp_path, **options)):
        await until(lambda: len(sink.events()) == 8)
    assert ids(sink) == list(range(8))


async def test_a_header_may_be_the_cursor_and_the_first_one_is_set(sink, tmp_path):
    def script(asked):
        number = int(asked.query["cursor"])
        return Reply(
            b"line %d\n" % number if number < 12 else b"",
            headers={"X-Next": str(min(number + 1, 12))},
        )

    options = {"cursor": "header", "cursor_path": "X-Next", "layout": "lines", "start_cursor": "10"}
    async with Web(script) as web, running(made(sink, web.url, tmp_path, **options)):
        await until(lambda: len(sink.events()) == 2)
    assert sink.events() == [b"line 10", b"line 11"]


async def test_links_are_followed_and_the_last_page_may_grow(sink, tmp_path):
    pages = {"1": [{"id": 0}, {"id": 1}], "2": [{"id": 2}]}

    def script(asked):
        page = asked.query.get("page", "1")
        link = {"Link": '</events?page=2>; rel="next"'} if page == "1" else {}
        return Reply(json.dumps(pages[page]).encode(), headers=link)

    async with Web(script) as web:
        async with running(made(sink, web.url, tmp_path, cursor="link")):
            await until(lambda: len(sink.events()) == 3)
            pages["2"].append({"id": 3})
            await until(lambda: len(sink.events()) == 4)
        async with running(made(sink, web.url, tmp_path, cursor="link"), sink.state):
            pages["2"].append({"id": 4})
            await until(lambda: len(sink.events()) == 5)
    assert ids(sink) == list(range(5))


async def test_without_a_cursor_the_same_answer_is_taken_once(sink, tmp_path):
    bodies = [b'[{"id":1}]', b'[{"id":1}]', b'[{"id":2}]']

    def script(asked):
        return Reply(bodies[min(asked.number, 2)])

    async with Web(script) as web, running(made(sink, web.url, tmp_path)):
        await until(lambda: len(web.asked) > 5)
    assert ids(sink) == [1, 2]


async def test_a_cursor_that_stays_while_events_come_is_told_and_nothing_taken_twice(
    sink, tmp_path
):
    body = json.dumps({"items": [{"id": 1}], "next": "same"}).encode()
    options = {"events_path": "items", "cursor": "json", "cursor_path": "next"}
    async with (
        Web(lambda _asked: Reply(body)) as web,
        running(made(sink, web.url, tmp_path, **options)),
    ):
        await until(lambda: sink.counts.get("repeats", 0) > 2)
    assert ids(sink) == [1]
    assert "cursor stays the same" in sink.statuses[-1].reason
    assert sink.colour == "yellow"


async def test_errors_are_waited_out_as_the_service_wishes(sink, tmp_path):
    troubles = [
        Reply(b"broken", 500),
        Reply(b"slower", 429, {"Retry-After": "1"}),
        Reply(b"<html>"),
        Reply(b"", 302, {"Location": "http://127.0.0.1:9/"}),
    ]

    def script(asked):
        return troubles[asked.number] if asked.number < len(troubles) else Reply(b'[{"id":1}]')

    import time

    begun = time.monotonic()
    async with Web(script) as web, running(made(sink, web.url, tmp_path)):
        await until(sink.events)
        await until(lambda: sink.colour == "green")
    assert time.monotonic() - begun >= 1.0
    assert sink.counts["errors"] == 4
    told = " ".join(status.reason for status in sink.statuses)
    for words in ("answers 429: slower", "no JSON", "answers 302"):
        assert words in told


async def test_headers_token_parameters_and_packed_answers(sink, tmp_path):
    (tmp_path / "token").write_text("secret-token\n")

    def script(_asked):
        return Reply(gzip.compress(b'[{"id":1}]'), headers={"Content-Encoding": "gzip"})

    options = {"token_file": "token", "headers": {"X-Tenant": "a"}, "params": {"limit": "5"}}
    async with Web(script) as web, running(made(sink, web.url, tmp_path, **options)):
        await until(sink.events)
        asked = web.asked[0]
    assert asked.headers["authorization"] == "Bearer secret-token"
    assert (asked.headers["x-tenant"], asked.query) == ("a", {"limit": "5"})


async def test_answers_and_events_beyond_the_bounds(sink, tmp_path):
    answers = [b"x" * 20_000, json.dumps([{"id": 1}, {"id": "x" * 100}]).encode()]
    options = {"max_body_bytes": 10_000, "max_event_bytes": 64}

    def script(asked):
        return Reply(answers[min(asked.number, 1)])

    async with Web(script) as web, running(made(sink, web.url, tmp_path, **options)):
        await until(sink.events)
    assert ids(sink) == [1]
    assert len(sink.aside) == sink.counts["too_long"] == 1
    assert sink.counts["errors"] == 1


async def test_a_check_asks_once_and_takes_nothing(sink, tmp_path):
    async with Web(lambda _asked: Reply(b"[1,2]")) as web:
        assert "2 events" in await made(sink, web.url, tmp_path).check()
    with pytest.raises(ConnectorError, match=r"http://127\.0\.0\.1:9/events"):
        await made(sink, "http://127.0.0.1:9", tmp_path).check()
    assert not sink.handovers


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "ftp://x"}, "url:"),
        ({"cursor": "json"}, "cursor_path"),
        ({"cursor": "event", "cursor_path": "id", "layout": "lines"}, "cursor:"),
    ],
)
def test_settings_that_do_not_fit_are_told(change, words):
    assert words in HttpPollSettings(**{"url": "http://x", **change}).problem()


def test_an_empty_token_is_told(sink, tmp_path):
    (tmp_path / "token").write_text("\n")
    with pytest.raises(SettingsError, match="no token"):
        HttpPollConnector(HttpPollSettings(url="http://x", token_file="token"), tmp_path, sink)
