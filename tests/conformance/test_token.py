from __future__ import annotations

import re
import socket
import time

import pytest
from tests.conformance.conftest import started
from tests.conformance.script import Script

from deodar.edr import tokens
from deodar.edr.database import now_us

NOT_FOUND = {"error": "Continuation token not found"}


@pytest.fixture(scope="module")
def script(kata):
    return kata.accepted()


@pytest.mark.row("1.2", "a request without token gets one, and what is available")
def test_the_first_request_gives_what_is_there(kata):
    mark = kata.put_marked(3)
    first = kata.accepted().get(filter=mark)
    assert first.ids == ["0", "1", "2"]
    assert first.token


@pytest.mark.row("1.2", "each later request without token begins anew")
def test_without_a_token_everything_comes_again(kata, script):
    mark = kata.put_marked(3)
    assert script.get(filter=mark).ids == ["0", "1", "2"]
    kata.put_marked(1, 3, HostName=mark.split("'")[1])
    again = script.get(filter=mark)
    assert again.ids == ["0", "1", "2", "3"]


@pytest.mark.row("1.2", "a token leads on without a gap and without a repeat")
def test_a_chain_of_tokens_gives_every_event_once(kata, script):
    mark = kata.put_marked(7)
    got, given = [], {"filter": mark}
    for count in range(1, 8):
        if count == 3:
            kata.put_marked(5, 7, HostName=mark.split("'")[1])
        answer = script.get(max_events=count, **given)
        got += answer.ids
        given = {"continuation_token": answer.token}
    assert got == [f"{n}" for n in range(12)]


@pytest.mark.row("1.2", "every answer has a token, an empty one too")
def test_an_empty_answer_has_a_token_that_advances(kata, script):
    kata.put_marked(2)
    first = script.get(filter="HostName == 'nobody'")
    second = script.get(continuation_token=first.token)
    assert first.ids == second.ids == []
    assert first.token
    assert second.token


@pytest.mark.row("1.2", "a token is one printable line that needs no URL encoding")
def test_a_token_survives_a_file_and_a_url(kata, script, tmp_path):
    first = script.get(filter=kata.put_marked(2), max_events=1)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", first.token)
    kept = tmp_path / "token"
    kept.write_text(f" {first.token}\n")
    base = f"/kata/events_api/v1/{script.id}/events?max_timeout=PT0S&continuation_token="
    assert script.send(base + kept.read_text().strip()).ids == ["1"]
    assert script.get(continuation_token=kept.read_text()).ids == ["1"]  # not even stripped


@pytest.mark.row("1.2", "the filter of the first request is remembered")
def test_later_requests_need_no_filter(kata, script):
    mark = kata.put_marked(2)
    first = script.get(filter=mark, max_events=1)
    kata.put_marked(2)
    kata.put_marked(1, 2, HostName=mark.split("'")[1])
    second = script.get(continuation_token=first.token)
    assert second.ids == ["1", "2"]
    assert script.get(continuation_token=second.token).ids == []


@pytest.mark.row("1.2", "another filter sent with a token")
def test_another_filter_holds_from_then_on(kata, script):
    one, two = kata.put_marked(2), kata.put_marked(2)
    first = script.get(filter=one, max_events=1)
    second = script.get(filter=two, continuation_token=first.token, max_events=1)
    assert second.ids == ["0"]
    assert script.get(continuation_token=second.token).ids == ["1"]


@pytest.mark.row("1.2", "events can be fetched for two hours")
def test_a_token_older_than_the_window_is_refused_when_it_would_skip_events(kata, script):
    mark = kata.put_marked(2)
    fresh = script.get(filter=mark, max_events=1).token
    last = script.get(filter=mark).token
    assert script.get(continuation_token=fresh).ids == ["1"]
    kata.settings.set("events_api.window", 1)
    try:
        outdated, silent = (aged(kata, script, token) for token in (fresh, last))
        end = time.monotonic() + 20
        while (answer := script.get(continuation_token=outdated)).status == 200:
            assert time.monotonic() < end
            time.sleep(0.2)
        assert (answer.status, answer.json) == (404, NOT_FOUND)
        assert script.get(continuation_token=silent).ids == []
        assert script.get(filter=mark).ids == ["0", "1"]  # an initial request still has them
    finally:
        kata.settings.reset("events_api.window")


def aged(kata, script: Script, text: str) -> str:
    """Return a token as if it had been issued three hours ago."""
    key = kata.installation.token_key
    token = tokens.unseal(key, script.id, text)
    then = now_us() - 3 * 3600 * 1_000_000
    return tokens.seal(key, script.id, tokens.Token(token.epoch, token.filter, token.seq, then))


@pytest.mark.row("1.2", "nothing is sent without a request")
def test_an_open_connection_gets_nothing_by_itself(kata, script):
    connection = script.connect()
    connection.request("GET", f"/kata/events_api/v1/{script.id}/events?max_timeout=PT0S")
    connection.getresponse().read()
    kata.put_marked(3)
    connection.sock.settimeout(1)
    with pytest.raises((socket.timeout, TimeoutError)):
        connection.sock.recv(1)
    connection.close()


@pytest.mark.row("1.2", "a token that is not good: Continuation token not found")
@pytest.mark.row("1.2", "the log says why a token is not good")
def test_tokens_that_are_not_good(kata, script):
    good = script.get(filter=kata.put_marked(1)).token
    key = kata.installation.token_key
    token = tokens.unseal(key, script.id, good)
    ahead = tokens.Token(token.epoch, token.filter, token.seq + 10**6, token.issued_us)
    other = tokens.Token(b"o" * 16, token.filter, token.seq, token.issued_us)
    wrong = {
        "characters instead of": "garbage",
        "not base64url": "é" * len(good),
        "it was changed": good[:-3] + ("A" if good[-3] != "A" else "B") + good[-2:],
        "it was issued by another server": tokens.seal(b"x" * 32, script.id, other),
        "to another external system": tokens.seal(key, "somebody-else", token),
        "this one was replaced": tokens.seal(key, script.id, other),
        "ahead of the event log": tokens.seal(key, script.id, ahead),
    }
    for reason, text in wrong.items():
        answer = script.get(continuation_token=text)
        assert (answer.status, answer.json) == (404, NOT_FOUND), reason
        told = [line for line in kata.log.splitlines() if "token_refused" in line]
        assert reason in told[-1]
        assert script.id in told[-1]
    assert script.get(continuation_token=good).ids == []


@pytest.mark.row("1.2", "each server of several has its own events only")
def test_two_servers_share_nothing(kata, script, tmp_path):
    with started(tmp_path) as other:
        there = other.accepted(script.id, ip=script.ip)
        here, far = kata.put_marked(1), other.put_marked(1)
        assert script.get(filter=here).ids == ["0"]
        assert there.get(filter=here).ids == []
        assert there.get(filter=far).ids == ["0"]
        token = script.get(filter=here).token
        refused = there.get(continuation_token=token)
        assert (refused.status, refused.json) == (404, NOT_FOUND)
        assert "issued by another server" in other.log


@pytest.mark.row("1.2", "a token survives a restart")
def test_a_token_and_its_filter_survive_a_restart(tmp_path):
    with started(tmp_path) as own:
        mark = own.put_marked(3)
        script = own.accepted()
        token = script.get(filter=mark, max_events=1).token
        own.put_marked(2)
        assert own.process.child.stop() == 0
        script.url = own.process.start()
        assert script.get(continuation_token=token).ids == ["1", "2"]


@pytest.mark.row("1.2", "a token may be sent again")
def test_a_client_that_lost_the_answer_asks_again(kata, script):
    mark = kata.put_marked(3)
    token = script.get(filter=mark, max_events=1).token
    assert script.get(continuation_token=token).ids == ["1", "2"]
    kata.put_marked(1, 3, HostName=mark.split("'")[1])
    assert script.get(continuation_token=token).ids == ["1", "2", "3"]
