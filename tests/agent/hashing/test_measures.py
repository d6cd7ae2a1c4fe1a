from __future__ import annotations

import hashlib
import math
import os
import signal
from collections import Counter
from typing import TYPE_CHECKING

import ppdeep
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.hashing import measures
from deodar.agent.hashing.measures import (
    EXACT_BYTES,
    TooCostly,
    bits_per_byte,
    digests,
    entropy,
    fuzzy,
    fuzzy_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.hashing.opener import Opened


@pytest.mark.parametrize("size", [0, 1, measures.CHUNK - 1, measures.CHUNK, 3 * measures.CHUNK + 7])
def test_digests_are_those_of_the_whole_file(size: int, opened: Callable[[bytes], Opened]) -> None:
    content = os.urandom(size)
    expected = hashlib.md5(content).digest(), hashlib.sha256(content).digest()
    assert digests(opened(content).descriptor) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", 0),
        (b"aaaa", 0),
        (b"ab" * 100, 1000),
        (b"abcd" * 100, 2000),
        (b"aab", 918),
        (bytes(range(256)) * 4, 8000),
    ],
)
def test_entropy_of_known_contents(
    content: bytes, expected: int, opened: Callable[[bytes], Opened]
) -> None:
    assert entropy(opened(content).descriptor, len(content)) == expected


@given(st.lists(st.integers(1, 10_000), max_size=256))
def test_entropy_is_that_of_the_definition(counts: list[int]) -> None:
    total = sum(counts)
    expected = -sum(n / total * math.log2(n / total) for n in counts)
    assert bits_per_byte(counts) == pytest.approx(expected, abs=1e-9)
    assert 0 <= bits_per_byte(counts) <= 8 + 1e-9


def test_entropy_of_a_large_file_is_near_the_exact_one(opened: Callable[[bytes], Opened]) -> None:
    zeros, noise = bytes(EXACT_BYTES * 3), os.urandom(EXACT_BYTES * 5)
    for content in (zeros + noise, noise + zeros, noise, zeros):
        exact = 1000 * bits_per_byte(list(Counter(content).values()))
        assert entropy(opened(content).descriptor, len(content)) == pytest.approx(exact, abs=150)


def test_the_ends_of_a_large_file_count(opened: Callable[[bytes], Opened]) -> None:
    middle = bytes(2 * EXACT_BYTES)
    for content in (b"a" * 4096 + middle, middle + b"a" * 4096):
        assert entropy(opened(content).descriptor, len(content)) > 0


def test_fuzzy_hash_is_ssdeep_s(opened: Callable[[bytes], Opened]) -> None:
    text = b"Also called fuzzy hashes, Ctph can match inputs that have homologies."
    known = "3:AXGBicFlgVNhBGcL6wCrFQEv:AXGHsNhxLsr2C"  # of the documentation of ssdeep
    assert fuzzy(opened(text).descriptor, len(text)) == known


def test_files_that_are_alike_have_hashes_that_are_alike(
    opened: Callable[[bytes], Opened],
) -> None:
    content = os.urandom(60_000)
    changed = content[:20_000] + b"another string" + content[20_000:]
    first, second = (fuzzy(opened(one).descriptor, len(one)) for one in (content, changed))
    assert first != second
    assert ppdeep.compare(first, second) > 80


def test_fuzzy_hash_of_content_that_repeats_itself_is_given_up(
    opened: Callable[[bytes], Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "fuzzy_seconds", lambda _: 0.05)
    content = bytes(400_000)
    with pytest.raises(TooCostly):
        fuzzy(opened(content).descriptor, len(content))
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_reading_goes_on_where_a_file_system_gives_little(
    opened: Callable[[bytes], Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(10_000)
    file, pread = opened(content), os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, offset: pread(fd, min(size, 999), offset))
    assert measures.read(file.descriptor, 10_000) == content
    assert measures.read(file.descriptor, 2_000, 5_000) == content[5_000:7_000]
    assert measures.read(file.descriptor, 99_999, 9_000) == content[9_000:]
    assert fuzzy(file.descriptor, 10_000) == ppdeep.hash(content)


def test_larger_files_may_take_longer() -> None:
    assert fuzzy_seconds(0) > 0
    assert fuzzy_seconds(2_000_000) > fuzzy_seconds(1_000_000)
