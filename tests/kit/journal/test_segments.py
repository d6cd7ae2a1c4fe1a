from __future__ import annotations

import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

from deodar.kit.journal.segments import (
    Gap,
    Record,
    decode_record,
    encode_preamble,
    encode_record,
    is_whole,
    lost_in,
    name_of,
    scan,
)

IDENTITY = str(uuid.UUID(int=7))


def _record(number: int, header: bytes = b"h", body: bytes = b"body") -> bytes:
    return b"".join(encode_record(number, header, body))


@given(st.integers(0, 2**64 - 1), st.binary(max_size=200), st.binary(max_size=200), st.binary())
def test_a_record_reads_back_whatever_follows_it(number, header, body, rest):
    data = b"".join(encode_record(number, header, body)) + rest
    assert decode_record(data) == Record(number, header, body)


@given(st.binary(max_size=100))
def test_any_bytes_decode_to_nothing_or_to_what_encodes_to_them(data):
    record = decode_record(data)
    assert record is None or data.startswith(b"".join(encode_record(*record)))


def test_the_format_on_disk_does_not_change():
    assert encode_preamble(IDENTITY, 5, b"last").hex() == (
        "44454f4441524a0a"
        "0100"
        "0000"
        "04000000"
        "0500000000000000"
        "00000000000000000000000000000007"
        "6c617374"
        "c967f78c"
    )
    assert _record(9, b"h", b"body").hex() == (
        "d7444a5205000000010000000900000000000000276bba9f68626f6479"
    )
    assert name_of(123) == "00000000000000000123.segment"


def test_a_scan_lists_records_gaps_and_the_tail(tmp_path):
    preamble = encode_preamble(IDENTITY, 3, b"before")
    first, second = _record(3), _record(9, b"second")
    path = tmp_path / name_of(3)
    path.write_bytes(preamble + first + b"????" + second + b"torn")
    found = scan(path, 3)
    at = len(preamble) + len(first)
    assert list(found.segment.numbers) == [3, 9]
    assert found.gaps == (Gap(at, at + 4),)
    assert found.tail == Gap(at + 4 + len(second), at + 8 + len(second))
    assert (found.identity, found.last_header, found.segment.last) == (IDENTITY, b"second", 9)


def test_without_records_the_header_before_the_segment_is_told(tmp_path):
    path = tmp_path / name_of(3)
    path.write_bytes(encode_preamble(IDENTITY, 3, b"before"))
    found = scan(path, 3)
    assert (found.last_header, found.segment.last, list(found.segment.numbers)) == (
        b"before",
        2,
        [],
    )


def test_records_whose_number_does_not_rise_do_not_count(tmp_path):
    path = tmp_path / name_of(1)
    path.write_bytes(encode_preamble(IDENTITY, 1, b"") + _record(1) + _record(1) + _record(2))
    assert list(scan(path, 1).segment.numbers) == [1, 2]


def test_a_segment_under_another_name_has_no_valid_preamble(tmp_path):
    path = tmp_path / name_of(4)
    path.write_bytes(encode_preamble(IDENTITY, 1, b""))
    assert scan(path, 4).identity is None


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 300))
def test_no_damage_hides_a_whole_record_that_follows(tmp_path_factory, noise, cut):
    path = tmp_path_factory.mktemp("scan") / name_of(1)
    path.write_bytes(noise[:cut] + _record(7, b"found", b"x" * 50))
    assert list(scan(path, 1).segment.numbers) == [7]


def test_whole_and_torn_records_are_told_apart():
    record = _record(1)
    assert is_whole(record[:-1] + b"?")
    assert not is_whole(record[:-1])
    assert not is_whole(b"????" + record)


def test_a_damaged_stretch_counts_the_records_that_it_may_have_held():
    assert lost_in(b"") == 1
    assert lost_in(_record(1)[:-1] + _record(2)[:-1]) == 2
