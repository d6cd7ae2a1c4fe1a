from __future__ import annotations

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tests.agent.spool.world import line, numbers, packet

from deodar.agent.packets import Header, encode_header
from deodar.agent.spool.thinning import AGED, DISK, FULL, Level, Tally, Thinner, fold, tally_of

KINDS = st.lists(st.sampled_from(["low", "medium", "high"]), min_size=1, max_size=20)
RANKS = {"low": Level.LOW, "medium": Level.MEDIUM, "high": Level.HIGH}


@given(KINDS, st.sampled_from(Level), st.booleans())
def test_what_is_more_important_stays_in_order(kinds: list[str], level: Level, seen: bool) -> None:
    before = packet(range(len(kinds)), kinds)
    header = before.header
    if not seen:
        header = msgspec.structs.replace(header, low=0, medium=0, high=0)
    after, body = Thinner().thin(header, before.body, level)
    kept = [number for number, kind in enumerate(kinds) if RANKS[kind] > level]
    assert after.events == len(kept)
    assert (numbers(body) if body else []) == kept
    assert (after.first, after.last) == (header.first, header.last)
    if kept and len(kept) < len(kinds):
        assert after.unknown == 0
        assert after.high == kinds.count("high")


def test_packet_with_nothing_to_take_out_is_not_unpacked() -> None:
    header = Header(events=2, first=1, last=2, medium=1, high=1)
    assert Thinner().thin(header, b"no zstd", Level.LOW) == (header, b"no zstd")


def test_packet_of_which_nothing_stays_is_not_unpacked() -> None:
    header = Header(events=2, first=1, last=2, low=2, urgent=True, reports=("a",))
    after, body = Thinner().thin(header, b"no zstd", Level.LOW)
    assert (after, body) == (Header(events=0, first=1, last=2), b"")


@pytest.mark.parametrize("body", [b"", b"no zstd"])
def test_packet_that_cannot_be_unpacked_is_of_no_use(body: bytes) -> None:
    header = Header(events=2, first=1, last=2, low=1, high=1)
    assert Thinner().thin(header, body, Level.LOW)[0].events == 0


def test_packet_that_would_unpack_to_much_too_much_is_of_no_use() -> None:
    bomb = zstandard.compress(bytes(70 << 20))
    header = Header(events=2, first=1, last=2)
    assert Thinner().thin(header, bomb, Level.LOW)[0].events == 0


def test_body_of_several_frames_is_thinned_whole() -> None:
    first, second = packet([1, 2], ["low", "high"]), packet([3, 4], ["high", "low"])
    header = Header(events=4, first=1, last=4, low=2, high=2)
    after, body = Thinner().thin(header, first.body + second.body, Level.LOW)
    assert (after.events, numbers(body)) == (2, [2, 3])


def test_importance_is_a_matter_of_the_judge() -> None:
    before = packet([1, 2, 3], "medium")
    header = msgspec.structs.replace(before.header, medium=0)
    judge = {line(1): "low", line(2): "high", line(3): "low"}
    after, body = Thinner(judge.__getitem__).thin(header, before.body, Level.MEDIUM)
    assert (after.events, after.high, numbers(body)) == (1, 1, [2])


def test_tallies_add_up() -> None:
    header = Header(events=10, first=1, last=2, low=1, medium=2, high=3)
    assert tally_of(header) == Tally(1, 2, 3, 4)
    twice = fold(fold(None, encode_header(header)), encode_header(header))
    assert twice == Tally(2, 4, 6, 8)
    assert [twice.up_to(level) for level in Level] == [10, 14, 20]


def test_each_rule_has_a_text_of_its_own() -> None:
    texts = [*FULL.values(), *DISK.values(), AGED]
    assert len(set(texts)) == len(texts)
