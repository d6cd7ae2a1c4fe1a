from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.edr.api.paging import cursor, page, place
from deodar.edr.errors import BadRequest


@given(st.integers(0, 2**62), st.text(max_size=50))
def test_a_cursor_is_read_back(number, text):
    assert place(cursor(number, text), int, str) == (number, text)


@given(st.text(max_size=100))
def test_any_text_is_a_place_or_a_bad_request(text):
    with contextlib.suppress(BadRequest):  # and nothing else
        found = place(text, int, str)
        assert found is None or list(map(type, found)) == [int, str]


def test_a_cursor_of_another_list_is_refused():
    with pytest.raises(BadRequest):
        place(cursor("x"), int)
    with pytest.raises(BadRequest):
        place(cursor(1, 2), int)


def test_a_number_that_no_row_can_have_is_refused():
    for number in (-1, 2**63, 2**64):
        with pytest.raises(BadRequest):
            place(cursor(number), int)


def test_a_page_has_a_next_only_when_there_is_more():
    assert page([1, 2, 3], 2, lambda n: (n,)).next == cursor(2)
    assert page([1, 2], 2, lambda n: (n,)).next is None
    assert page([], 2, lambda n: (n,)).items == []
