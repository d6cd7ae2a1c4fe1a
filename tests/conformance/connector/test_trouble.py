"""Servers that misbehave: nothing given is lost, nothing is taken twice, and it is told."""

from __future__ import annotations

import itertools
import json
import time

import pytest
from tests.conformance.connector.conftest import at_work, change
from tests.conformance.connector.server import (
    Reply,
    TroubleServer,
    http2_by_alpn,
    http2_by_frame,
    in_turn,
    page,
    refusal,
)
from tests.siem.test_cli import deodar

from deodar.events.builders import EventBuilder

EVENTS = EventBuilder(1).events(3)


def goes_on(trouble, *more):
    """Answer with a page, then with trouble, then with another page."""
    end = page("t2", EventBuilder(2).events(2))
    return in_turn(
        page("t1", EVENTS), trouble, *more, end, then=lambda _asked: page("t2", delay=0.05)
    )


@pytest.mark.connector_row("5", "slow: longer than the client timeout")
async def test_slow(station, saw_row):
    async with station(goes_on(page("t2", delay=30)), client_timeout=0.5) as made:
        await made.stored(5)
    tokens = [asked.token for asked in made.server.asked[:3]]
    assert tokens == [None, "t1", "t1"]
    fewer = made.server.asked[2].query["max_events"]
    assert int(fewer) < 10_000
    saw_row(f"given up after 0.5 s, the same token asked for again with max_events={fewer}")


@pytest.mark.connector_row("5", "slow: byte by byte, within the client timeout")
async def test_dripping(station, saw_row):
    drip = page("t2", EventBuilder(3).events(1))
    drip = Reply(body=drip.body, pieces=40, pause=0.02)
    async with station(in_turn(page("t1", EVENTS), drip)) as made:
        await made.stored(4)
    saw_row("an answer in 40 pieces was taken")


@pytest.mark.connector_row("5", "cut in mid answer")
async def test_cut(station, saw_row):
    whole = page("t2", EventBuilder(2).events(2))
    async with station(goes_on(Reply(body=whole.body, cut_after=len(whole.body) // 2))) as made:
        await made.stored(5)
        assert made.letters() == []
    assert [asked.token for asked in made.server.asked[:3]] == [None, "t1", "t1"]
    saw_row("nothing of the half answer was taken; the same token again, each event once")


@pytest.mark.connector_row("5", "4xx")
async def test_refusals(station, saw_row):
    told = {}
    for status in (400, 403, 404, 418):
        async with station(goes_on(refusal(status, f"no good {status}"))) as made:
            await made.stored(5)
            report = await made.report()
            told[status] = report.last_error
        assert [asked.token for asked in made.server.asked[:3]] == [None, "t1", "t1"]
    assert all(f"no good {status}" in text for status, text in told.items()), told
    saw_row("400, 403, 404, 418: each told with the server's text, then the same token again")


@pytest.mark.connector_row("5", "5xx, and 503 with Retry-After")
async def test_server_errors(station, saw_row):
    broken = [Reply(status, b"<h1>oops</h1>") for status in (500, 502, 504)]
    async with station(goes_on(*broken)) as made:
        await made.stored(5)
    times = [asked.when for asked in made.server.asked[1:5]]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert 0.4 < pauses[0] < pauses[1] < pauses[2] < 6
    async with station(goes_on(refusal(503, "busy", retry_after="2"))) as made:
        await made.stored(5)
    kept = made.server.asked[2].when - made.server.asked[1].when
    assert kept >= 2
    shown = ", ".join(f"{pause:.1f}" for pause in pauses)
    saw_row(f"pauses of {shown} s after 500, 502, 504; {kept:.1f} s after Retry-After: 2")


@pytest.mark.connector_row("5", "another content type")
async def test_content_type(station, saw_row):
    octets = {"content-type": "application/octet-stream"}
    html = {"content-type": "text/html; charset=windows-1251"}
    script = in_turn(
        page("t1", EVENTS, headers=octets),
        page("t2", EventBuilder(2).events(1), headers=html),
        then=lambda _asked: page("t2", delay=0.05),
    )
    async with station(script) as made:
        await made.stored(4)
    saw_row("application/octet-stream and text/html with events in them were taken")


@pytest.mark.connector_row("5", "a page of HTML with status 200")
async def test_html(station, saw_row):
    login = Reply(200, b"<html>please log in</html>", {"content-type": "text/html"})
    async with station(goes_on(login, login)) as made:
        await made.stored(5)
        letters = [letter.letter.raw for letter in made.letters()]
    assert letters == [login.body]
    saw_row("two such answers, one dead letter, then the stream went on")


@pytest.mark.connector_row("5", "a body of 100 MB")
async def test_a_large_body(station, saw_row):
    events = json.dumps(EVENTS).encode()[:-1]
    large = events + b" " * (100 << 20) + b"]"
    async with station(in_turn(page("t1", large)), client_timeout=60.0) as made:
        await made.stored(3)
    more = page("t2", EventBuilder(2).events(2))
    script = in_turn(page("t1", large), more, then=lambda _asked: page("t2", delay=0.05))
    async with station(script, max_body_bytes=1 << 20, client_timeout=60.0) as made:
        report = await made.until(lambda report: "too large" in report.last_error)
        await made.stored(2)
    assert "max_events" in made.server.asked[1].query
    saw_row(f"100 MB taken with the default of 128 MB; with 1 MB: {report.last_error}")


@pytest.mark.connector_row("5", "an event of more than 4 MB")
async def test_a_large_event(station, saw_row):
    large = {**EVENTS[0], "CommandLine": "x" * (4 << 20)}
    async with station(in_turn(page("t1", [EVENTS[1], large, EVENTS[2]]))) as made:
        await made.stored(2)
        (letter,) = made.letters()
    assert "4194304" in letter.letter.reason.replace(",", "")
    assert len(letter.letter.raw) > 4 << 20
    saw_row(f"two of three stored; the dead letter says: {letter.letter.reason}")


@pytest.mark.connector_row("5", "invalid JSON in one event")
async def test_invalid_json(station, saw_row):
    broken = json.dumps(EVENTS).encode().replace(b'"EventType"', b'"EventType', 1)
    async with station(in_turn(page("t1", broken))) as made:
        await made.stored(2)
        (letter,) = made.letters()
    assert letter.letter.raw.startswith(b'{"')
    saw_row(f"two of three stored; the dead letter says: {letter.letter.reason}")


@pytest.mark.connector_row("5", "the same token again, with events")
async def test_no_progress(station, saw_row):
    stuck = page("t1", EVENTS)
    async with station(in_turn(page("t1", EVENTS), stuck, stuck, page("t2"))) as made:
        report = await made.said("the same token again")
        assert report.status.colour == "yellow"
        await made.until(lambda report: report.status.colour == "green")
        await made.stored(3)
        assert (await made.report()).connector_counts["stuck"] == 2
    saw_row(f"{report.status.colour}: {report.status.reason}; 3 events stored, not 9")


@pytest.mark.connector_row("5", "an earlier token again")
async def test_going_back(station, saw_row):
    pages = [page(token, EventBuilder(n).events(1)) for n, token in enumerate(("t1", "t2", "t1"))]
    async with station(in_turn(*pages, then=lambda _asked: page("t2", delay=0.05))) as made:
        report = await made.said("an earlier token again")
        await made.until(lambda report: report.status.colour == "green")
        await made.stored(2)
    assert [asked.token for asked in made.server.asked[:4]] == [None, "t1", "t2", "t2"]
    saw_row(f"{report.status.colour}: {report.status.reason}; it stays with its own token")


@pytest.mark.connector_row("5", "another certificate")
async def test_another_certificate(idle, saw_row):
    seen = []
    for changes in ({}, {"pins": [], "trust_first": True}):
        made = idle(**changes)
        async with at_work(made.home):
            await made.until(lambda report: report.status.colour == "green")
            made.server.renew()
            first = len(made.server.asked)
            report = await made.said("this is another server")
            assert report.status.colour == "yellow"
            assert made.server.pin in report.status.reason
            assert len(made.server.asked) == first
        seen.append(report.status.remedy)
    async with at_work(made.home):  # what was trusted first is remembered
        await made.said("this is another server")
    words = ("collector", "forget-server", made.name, "--yes", "--dir", made.core.home.path)
    assert made.server.url in deodar(*words).stdout
    async with at_work(made.home):
        await made.until(lambda report: report.status.colour == "green")
    saw_row(f"no request was sent to it. Pinned: {seen[0]}. Trusted on first use: {seen[1]}")


@pytest.mark.connector_row("5", "a clock that is wrong by days")
async def test_clock_shift(station, saw_row):
    wrong = {"date": "Mon, 01 Jan 2001 00:00:00 GMT"}
    far = {"date": "Mon, 01 Jan 2001 00:00:00 GMT", "retry-after": "Mon, 01 Jan 2001 00:00:01 GMT"}
    events = [{**event, "Timestamp": 978_307_200_000_000} for event in EVENTS]
    script = in_turn(
        page("t1", events, headers=wrong),
        Reply(503, b"", far),
        page("t2", EventBuilder(2).events(1), headers={"date": "Fri, 01 Jan 2100 00:00:00 GMT"}),
        then=lambda _asked: page("t2", delay=0.05),
    )
    async with station(script) as made:
        found = await made.stored(4)
    passed = made.server.asked[2].when - made.server.asked[1].when
    assert 1 <= passed < 10
    assert all(abs(event["Timestamp"] / 1000 - time.time()) < 300 for event in found)
    saw_row(
        f"Date of 2001 and 2100: all events taken, Retry-After as a date kept ({passed:.1f} s), "
        "Timestamp is the collector's own"
    )


@pytest.mark.connector_row("5", "a redirect")
async def test_redirect(station, saw_row):
    with TroubleServer() as other:
        away = Reply(302, b"", {"location": f"https://{other.url}/"})
        async with station(lambda _asked: away) as made:
            report = await made.said("redirect")
            await made.server.reached(2)
        assert other.asked == []
    saw_row(f"{report.status.reason}; what to do: {report.status.remedy}")


@pytest.mark.connector_row("5", "HTTP/2 alone")
@pytest.mark.parametrize("kind", [http2_by_alpn, http2_by_frame])
async def test_http2(idle, tmp_path, kind, saw_row):
    made = idle()
    with kind(tmp_path) as (url, pin):
        change(made.home, urls=[url], pins=[pin])
        async with at_work(made.home):
            report = await made.said("HTTP/2 alone")
            assert report.status.colour == "yellow"
            assert "HTTP/1.1" in report.status.remedy
    how = {"http2_by_alpn": "told in the handshake", "http2_by_frame": "seen at the first frame"}
    reason = report.status.reason.replace(f"https://{url}", "https://EDR")
    saw_row(f"{how[kind.__name__]}: {reason}")
