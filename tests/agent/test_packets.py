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
    assert packet.header == Header(events=2, first=5, last=7)


def test_text_is_packed_as_it_is() -> None:
    header = Header(events=1, first=1, last=1, place=Place("/f", 1, 2, 3))
    packet = Packer().pack_text(b'{"a":1}\n', header)
    assert zstandard.decompress(packet.body) == b'{"a":1}\n'
    assert packet.header is header
