"""The list of rows and the marks of tests agree; the page is made of both."""

from __future__ import annotations

from tests.conformance import page
from tests.conformance.rows import ROWS, SECTIONS


def test_every_row_has_a_test():
    assert page.without_test(page.marks()) == []


def test_every_mark_names_a_row():
    assert page.unknown(page.marks()) == []


def test_rows_are_there_once_and_in_known_sections():
    keys = [(row.section, row.text) for row in ROWS]
    assert len(set(keys)) == len(keys)
    assert {row.section for row in ROWS} <= set(SECTIONS)


def test_a_row_without_a_test_and_a_mark_without_a_row_are_found():
    found = [mark for mark in page.marks() if mark.text != ROWS[0].text]
    assert page.without_test(found) == [f"{ROWS[0].section} {ROWS[0].text}"]
    odd = page.Mark("1.1", "there is no such row", "tests/x.py::test_y")
    assert page.unknown([odd, page.Mark("9", "x", "t")]) == [
        "tests/x.py::test_y: 1.1 there is no such row",
        "t: 9 x",
    ]


def test_the_page_lists_the_tests_of_each_row():
    text = page.page()
    assert "**none**" not in text
    assert "`conformance/test_request.py::test_a_token_goes_on`" in text
