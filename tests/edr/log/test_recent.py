from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.edr.log import recent as module
from deodar.edr.log.recent import Recent

FAR = 1 << 40


def texts(*numbers: int) -> pa.Array:
    return pa.array([f"e{number}" for number in numbers])


@pytest.fixture
def recent() -> Recent:
    made = Recent()
    made.add(10, texts(11, 12, 13))
    made.add(13, texts(14))
    made.add(20, texts(21, 22))
    return made


def read(recent: Recent, after: int, upto: int = FAR, limit: int = 9, size: int = FAR):
    found = recent.read(after, upto, limit, size)
    return found and (bytes(found.joined), found.count, found.scanned, found.cut)


def test_a_reader_goes_from_block_to_block(recent):
    assert read(recent, 10) == (b"e11,e12,e13", 3, 13, False)
    assert read(recent, 13) == (b"e14", 1, 14, False)
    assert read(recent, 21) == (b"e22", 1, 22, False)


def test_what_is_not_here_is_told(recent):
    for after in (0, 9, 14, 19, 22, 99):
        assert read(recent, after) is None
    assert read(recent, 12, upto=12) is None
    assert read(Recent(), 0) is None


def test_no_more_than_is_asked_for(recent):
    assert read(recent, 11, limit=1) == (b"e12", 1, 12, False)
    assert read(recent, 10, upto=12) == (b"e11,e12", 2, 12, False)


def test_what_does_not_fit_is_left_and_told_but_one_event_comes_always(recent):
    assert read(recent, 10, size=10) == (b"e11,e12", 2, 12, True)
    assert read(recent, 10, size=11) == (b"e11,e12,e13", 3, 13, False)
    assert read(recent, 10, size=1) == (b"e11", 1, 11, True)
    assert read(recent, 12, size=1) == (b"e13", 1, 13, False)


def test_the_oldest_blocks_go_by_size():
    kept = Recent(most_bytes=100)
    for before in range(0, 40, 10):
        kept.add(before, texts(*range(before + 1, before + 11)))
        assert kept.size <= 100
    assert read(kept, 0) is None
    assert read(kept, 39) == (b"e40", 1, 40, False)
    kept.add(40, pa.array(["x" * 200]))
    assert (kept.size, read(kept, 39)) == (0, None)


def test_the_oldest_blocks_go_by_number(monkeypatch):
    monkeypatch.setattr(module, "MOST_BLOCKS", 2)
    kept = Recent()
    for before in range(3):
        kept.add(before, texts(before + 1))
    assert read(kept, 0) is None
    assert read(kept, 1) is not None


@given(
    st.lists(st.lists(st.text(max_size=4), min_size=1, max_size=5), min_size=1, max_size=4),
    st.integers(1, 6),
    st.integers(1, 12),
    st.booleans(),
)
def test_all_events_come_once_and_in_order(blocks, limit, size, sliced):
    kept, last = Recent(), 0
    for block in blocks:
        raw = pa.array(["before", *block])[1:] if sliced else pa.array(block)
        kept.add(last, raw)
        last += len(block)
    pieces, after = [], 0
    while after < last:
        found = kept.read(after, last, limit, size)
        assert found is not None
        assert found.count <= limit
        assert found.count == 1 or len(found.joined) <= size
        assert found.scanned == after + found.count
        pieces.append(bytes(found.joined))
        after = found.scanned
    assert b",".join(pieces).decode() == ",".join(text for block in blocks for text in block)
