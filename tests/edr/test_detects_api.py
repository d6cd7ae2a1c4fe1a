from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.edr.detects_api import moment, seal, unseal
from deodar.edr.errors import BadRequest


@given(st.integers(0, (1 << 62) - 1))
def test_a_token_says_where_to_go_on(number):
    assert unseal(seal(number)) == number


@given(st.text() | st.binary().map(bytes.hex))
def test_whatever_comes_as_a_token_is_read_or_refused(text):
    with contextlib.suppress(BadRequest):
        assert unseal(text) >= 0


def test_the_token_of_a_known_client_is_understood():
    assert unseal("7b226f6666736574223a20307d") == 0
    assert seal(0) == "7b226f6666736574223a20307d"
    with pytest.raises(BadRequest):
        unseal(b'{"offset": 9223372036854775808}'.hex())


def test_moments_are_iso_8601_in_utc():
    assert moment(1_790_000_000_123_456) == "2026-09-21T14:13:20.123Z"
