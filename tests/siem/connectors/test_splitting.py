from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.siem.connectors.splitting import NotCounted, Splitter


def split(stream: bytes, division="auto", delimiter=b"\n", longest=100, cuts=()):
    """Feed a stream in pieces; returns messages, beginnings of long ones, and the rest."""
    splitter = Splitter(division, delimiter, longest)
    messages, too_long = [], []
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in pairwise(places):
        pieces = splitter.feed(stream[start:end])
        messages += pieces.messages
        too_long += pieces.too_long
    return messages, too_long, splitter.end()


def counted(*messages: bytes) -> bytes:
    return b"".join(b"%d %s" % (len(one), one) for one in messages)


@pytest.mark.parametrize(
    ("division", "stream", "messages"),
    [
        ("delimiter", b"one\ntwo\r\n\nthree\n", [b"one", b"two", b"three"]),
        ("delimiter", b"5 <13>\n", [b"5 <13>"]),
        ("octets", counted(b"<13>a\nb", b"c"), [b"<13>a\nb", b"c"]),
        ("octets", counted(b"<13>a") + b"\n" + counted(b"<13>b"), [b"<13>a", b"<13>b"]),
        ("auto", counted(b"<13>a\nb") + b"<14>c\n", [b"<13>a\nb", b"<14>c"]),
        ("auto", b"2026-11-28 text\n10 apples\n7\n", [b"2026-11-28 text", b"10 apples", b"7"]),
        ("auto", b"12345678901 <x\n", [b"12345678901 <x"]),
    ],
)  # fmt: skip
def test_messages_are_found_as_the_division_says(division, stream, messages):
    assert split(stream, division) == (messages, [], b"")


def test_the_rest_of_a_stream_is_what_came_of_its_last_message():
    assert split(b"one\ntw") == ([b"one"], [], b"tw")
    assert split(b"20 <13>abc") == ([], [], b"<13>abc")
    assert split(b"one||two|", delimiter=b"||") == ([b"one"], [], b"two|")


def test_a_message_that_is_too_long_costs_only_itself():
    long = b"x" * 250
    assert split(b"a\n" + long + b"\nb\n") == ([b"a", b"b"], [long[:100]], b"")
    stream = counted(b"<1>a", b"<1>" + long, b"<1>b")
    assert split(stream) == ([b"<1>a", b"<1>b"], [(b"<1>" + long)[:100]], b"")


def test_a_stream_without_counts_where_they_must_be_is_broken_off_with_what_came_before():
    splitter = Splitter("octets", b"\n", 100)
    with pytest.raises(NotCounted, match="no octet count") as caught:
        splitter.feed(counted(b"<1>a") + b"hello")
    assert caught.value.args[1].messages == [b"<1>a"]


@given(
    st.lists(st.binary(min_size=1, max_size=30).map(lambda b: b.replace(b"\n", b"x"))),
    st.sampled_from(["auto", "delimiter"]),
    st.sampled_from([b"\n", b"||"]),
    st.lists(st.integers(0, 500), max_size=8),
)
def test_however_a_stream_is_cut_its_messages_are_the_same(messages, division, delimiter, cuts):
    stream = delimiter.join(messages) + delimiter
    whole = split(stream, division, delimiter, 20)
    assert split(stream, division, delimiter, 20, cuts) == whole


@given(st.lists(st.binary(max_size=30), max_size=10), st.lists(st.integers(0, 500), max_size=8))
def test_counted_messages_are_what_was_counted(messages, cuts):
    given_ = [b"<1>" + one for one in messages]
    found, too_long, rest = split(counted(*given_), "octets", b"||", 20, cuts)
    assert found == [one for one in given_ if len(one) <= 20]
    assert too_long == [one[:20] for one in given_ if len(one) > 20]
    assert rest == b""
