from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.answers import (
    Answer,
    Fault,
    NoAnswer,
    Receipt,
    Trouble,
    decode,
    fault_of,
    read_committed,
    read_receipt,
    said,
)

DEEP = b'{"error":' + b"[" * 60_000


def test_receipt_of_the_packet_is_read() -> None:
    answer = Answer(200, b'{"packet": 5, "events": 3, "dead": 1, "duplicate": true, "new": 1}')
    assert read_receipt(answer, 5) == Receipt(5, 3, 1, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>please log in</html>",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"packet": "5"}',
        b'{"events": 5}',
        b'{"packet": 5',
        b'{"packet": 1e999}',
        DEEP,
    ],
)
def test_nonsense_is_no_receipt_and_its_words_are_not_repeated(body: bytes) -> None:
    fault = read_receipt(Answer(200, body), 5)
    assert isinstance(fault, Fault)
    assert fault.trouble is Trouble.WRONG_ANSWER
    assert "is a proxy or a portal in between?" in fault.text
    assert "log in" not in fault.text


def test_receipt_for_another_packet_is_none() -> None:
    fault = read_receipt(Answer(200, b'{"packet": 4}'), 5)
    assert isinstance(fault, Fault)
    assert "packet 4 in place of 5" in fault.text


@pytest.mark.parametrize(
    ("status", "trouble", "words"),
    [
        (401, Trouble.REFUSED, "UseClientPinnedCertificate=Yes"),
        (403, Trouble.REFUSED, "deodar agent enroll --force"),
        (404, Trouble.WRONG_ANSWER, "check its address and port"),
        (302, Trouble.WRONG_ANSWER, "is a proxy or a portal in between?"),
        (503, Trouble.WRONG_ANSWER, "HTTP 503: busy now"),
        (200, Trouble.WRONG_ANSWER, "cannot be understood"),
    ],
)
def test_fault_says_what_to_do(status: int, trouble: Trouble, words: str) -> None:
    fault = fault_of(Answer(status, b'{"error": "busy now"}'))
    assert fault.trouble is trouble
    assert words in fault.text


def test_words_of_the_server_are_short_and_printable() -> None:
    body = json.dumps({"error": "a\x1b[31m\nb" + "c" * 1000}).encode()
    words = said(Answer(500, body))
    assert words.startswith(": a [31m b")
    assert words.isprintable()
    assert len(words) < 210


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"error": null}', DEEP])
def test_what_is_no_error_of_ours_is_not_repeated(body: bytes) -> None:
    assert said(Answer(500, body)) == ""


@pytest.mark.parametrize(
    ("body", "committed"),
    [(b'{"error": "x", "committed": 7}', 7), (b'{"error": "x"}', None), (b"<html>", None)],
)
def test_committed_is_read_from_a_409(body: bytes, committed: int | None) -> None:
    assert read_committed(Answer(409, body)) == committed


def test_events_tell_kinds_of_trouble_apart() -> None:
    assert {trouble: trouble.event for trouble in Trouble} == {
        Trouble.WRONG_ANSWER: "ServerUnavailable",
        Trouble.UNREACHABLE: "ServerUnavailable",
        Trouble.REFUSED: "ServerRefused",
        Trouble.CERTIFICATE: "CertificateProblem",
    }


def test_no_answer_carries_its_fault() -> None:
    error = NoAnswer("gone", timed_out=True)
    assert error.fault == Fault(Trouble.UNREACHABLE, "gone")
    assert str(error) == "gone"
    assert error.timed_out


@given(st.binary(max_size=200))
def test_nothing_from_outside_breaks_the_reader(body: bytes) -> None:
    assert isinstance(decode(body, Receipt), str | Receipt)
