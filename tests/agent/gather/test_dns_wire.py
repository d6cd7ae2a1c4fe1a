"""The messages are written out by hand from RFC 1035, or made by a little writer of our own."""

from __future__ import annotations

import struct
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.gather.dns_wire import MOST_ANSWERS, MOST_TEXT, MessageError, read

HOST = b"\3www\7example\3com\0"


def message(*answers: bytes, flags: int = 0x8180, name: bytes = HOST, kind: int = 1) -> bytes:
    head = struct.pack(">6H", 0x1234, flags, 1, len(answers), 0, 0)
    return head + name + struct.pack(">2H", kind, 1) + b"".join(answers)


def answer(kind: int, data: bytes, name: bytes = b"\xc0\x0c") -> bytes:
    return name + struct.pack(">2HIH", kind, 1, 60, len(data)) + data


def test_a_query() -> None:
    found = read(message(flags=0x0100, kind=28))
    assert (found.id, found.is_answer, found.name, found.type) == (
        0x1234, False, "www.example.com", "AAAA",
    )  # fmt: skip
    assert found.answers == ()


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        (1, bytes([192, 0, 2, 80]), "A 192.0.2.80"),
        (28, b"\x20\x01\x0d\xb8" + bytes(11) + b"\1", "AAAA 2001:db8::1"),
        (5, b"\4site\xc0\x10", "CNAME site.example.com"),
        (2, b"\2ns\xc0\x10", "NS ns.example.com"),
        (12, b"\1h\0", "PTR h"),
        (15, b"\0\x0a\4mail\xc0\x10", "MX 10 mail.example.com"),
        (16, b"\5hello\6 world", "TXT hello world"),
        (16, b"\3a\n\xff", r"TXT a\010\255"),
        (33, b"\0\1\0\2\1\xbb\1s\xc0\x10", "SRV 1 2 443 s.example.com"),
        (6, b"\2ns\xc0\x10\1a\0" + bytes(20), "SOA ns.example.com"),
        (65, b"\0\1\0", "HTTPS 000100"),
        (4711, b"\xab", "TYPE4711 ab"),
        (1, b"\1\2", "A 0102"),
    ],
)
def test_values_of_answers(kind: int, data: bytes, text: str) -> None:
    assert read(message(answer(kind, data))).answers == (text,)


@pytest.mark.parametrize(
    ("code", "text"), [(0, "NOERROR"), (2, "SERVFAIL"), (3, "NXDOMAIN"), (15, "RCODE15")]
)
def test_codes(code: int, text: str) -> None:
    assert read(message(flags=0x8180 | code)).rcode == text


def test_names_are_in_lower_case_and_print() -> None:
    assert read(message(name=b"\4A\xffb.\3CoM\0")).name == r"a\255b\..com"
    assert read(message(name=b"\0")).name == "."


def test_of_a_message_that_is_cut_the_whole_answers_are_given() -> None:
    whole = message(answer(1, bytes(4)), answer(1, bytes([1, 2, 3, 4])), answer(1, bytes(4)))
    assert read(whole[:-20]).answers == ("A 0.0.0.0",)
    assert read(whole[:-1]).answers == ("A 0.0.0.0", "A 1.2.3.4")


@pytest.mark.parametrize(
    "name",
    [
        b"\xc0\x0c",  # to itself
        b"\1a\xc0\x0c",  # to its own beginning
        b"\xc0\xff",  # forwards
        b"\x40a\0",  # a label of a kind that was given up
        (b"\x3f" + b"a" * 63) * 4 + b"\0",
    ],
)
def test_names_that_do_not_end_are_refused(name: bytes) -> None:
    with pytest.raises(MessageError):
        read(message(name=name))


def test_a_chain_of_pointers_is_followed_only_so_far() -> None:
    chain = b"".join(struct.pack(">H", 0xC000 | (12 + 2 * max(0, i - 1))) for i in range(200))
    head = struct.pack(">6H", 1, 0, 1, 0, 0, 0)
    begin = time.monotonic()
    with pytest.raises(MessageError):
        read(head + chain)
    assert time.monotonic() - begin < 1


def test_answers_are_bounded_in_number_and_length() -> None:
    long = answer(16, b"".join(b"\xff" + b"x" * 255 for _ in range(8)))
    found = read(message(*[long] * 500))
    assert len(found.answers) == MOST_ANSWERS
    assert {len(text) for text in found.answers} == {MOST_TEXT}


def test_an_odd_answer_ends_the_list_but_not_the_message() -> None:
    good, bad = answer(1, bytes(4)), answer(1, bytes(4), name=b"\xc0\xff")
    assert read(message(good, bad, good)).answers == ("A 0.0.0.0",)


@pytest.mark.parametrize("payload", [b"", b"\0" * 11, bytes(12), message()[:-3], message()[:14]])
def test_what_has_no_question_is_refused(payload: bytes) -> None:
    with pytest.raises(MessageError):
        read(payload)


@given(st.binary(max_size=600))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    check(payload)


@given(st.data())
def test_a_message_with_some_bytes_changed_is_read_or_refused(data: Any) -> None:
    payload = bytearray(message(answer(5, b"\4site\xc0\x10"), answer(15, b"\0\1\1m\xc0\x10")))
    for _ in range(data.draw(st.integers(1, 6))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(payload))


def check(payload: bytes) -> None:
    try:
        found = read(payload)
    except MessageError:
        return
    texts = [found.name, found.type, found.rcode, *found.answers]
    assert all(text.isprintable() and text.isascii() for text in texts)
    assert len(found.name) <= 4 * 255
