"""The list of rows, the marks of tests and what was seen agree; the page is made of all three."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conformance.connector import page
from tests.conformance.connector.rows import ROWS, SECTIONS

SEEN = Path("docs/reference/connector-kata-edr-conformance.seen.json")


def test_every_row_has_a_test_and_every_mark_a_row():
    marked = {mark[:2] for mark in page.marks()}
    rows = {row[:2] for row in ROWS}
    assert rows - marked == set()
    assert marked - rows == set()


def test_rows_are_there_once_and_in_known_sections():
    keys = [row[:2] for row in ROWS]
    assert len(set(keys)) == len(keys)
    assert {row.section for row in ROWS} <= set(SECTIONS)


def test_what_was_seen_is_of_rows_and_stands_on_the_page():
    root = Path(__file__).resolve().parents[3]
    seen = json.loads((root / SEEN).read_text("utf-8"))
    assert set(seen) <= {page.key(*row[:2]) for row in ROWS}
    text = page.page(seen)
    assert "**none**" not in text
    assert all(row.text in text for row in ROWS)
    saw = next(iter(seen.values()))[0]["saw"]
    assert saw.replace("|", "\\|") in text
