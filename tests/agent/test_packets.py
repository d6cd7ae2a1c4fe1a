from __future__ import annotations

import zstandard
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.packets import Header, Packer, Place, decode_header, encode_header

HEADERS = st.builds(
    Header,
    events=st.integers(0, 5000),
    first=st.integers(0, 2**53),
    last=st.integers(0, 2**53),
    total=st.integers(0, 2**53),
    place=st.none() | st.builds(Place, st.text(), *[st.integers(0, 2**53)] * 3),
    low=st.integers(0, 2000),
    medium=st.integers(0, 2000),
    high=st.integers(0, 2000),
    at=st.floats(0, 1e9),
    urgent=st.booleans(),
    thinned=st.integers(0, 2**53),
    reports=st.lists(st.text()).map(tuple),
)


@given(HEADERS)
def test_header_comes_back_as_it_was(header: Header) -> None:
    assert decode_header(encode_header(header)) == header


@given(st.binary(max_size=50))
def test_damaged_header_is_no_error(data: bytes) -> None:
    assert isinstance(decode_header(b"\xff" + data), Header)
    assert decode_header(b"\xff" + data).events == 1


def test_packet_holds_one_line_an_event() -> None:
    packet = Packer().pack([b'{"a":1}', b'{"b":2}'], 5, 7)
    assert zstandard.decompress(packet.body) == b'{"a":1}\n{"b":2}\n'
    assert packet.header == Header(events=2, first=5, last=7, medium=2)


def test_packet_with_an_event_of_high_importance_is_urgent() -> None:
    lines = [b'{"EventType":"process_fork"}', b'{"EventType":"threatdetect"}', b"{}"]
    header = Packer().pack(lines, 5, 7).header
    assert (header.low, header.medium, header.high, header.urgent) == (1, 1, 1, True)
    assert not Packer().pack(lines[:1], 5, 7).header.urgent


def test_counts_of_the_caller_are_taken_as_they_are() -> None:
    header = Packer().pack([b"{}", b"{}"], 5, 7, (2, 0, 0), ["one"]).header
    assert (header.low, header.urgent, header.reports) == (2, False, ("one",))


def test_header_of_an_older_agent_is_read() -> None:
    old = decode_header(b'{"events":5,"first":1,"last":2,"total":9}')
    assert (old.unknown, old.at, old.total) == (5, 0.0, 9)


def test_text_is_packed_as_it_is() -> None:
    header = Header(events=1, first=1, last=1, place=Place("/f", 1, 2, 3))
    packet = Packer().pack_text(b'{"a":1}\n', header)
    assert zstandard.decompress(packet.body) == b'{"a":1}\n'
    assert packet.header is header
