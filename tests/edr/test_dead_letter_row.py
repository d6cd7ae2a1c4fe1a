from __future__ import annotations

from deodar.columnar.dead_letters import DeadLetter, StoredLetter
from deodar.edr.dead_letter_row import row


def test_a_long_text_is_cut_and_bytes_that_are_no_text_are_shown():
    stored = StoredLetter("1-0", 5, "b", DeadLetter("why", "$.x", 7, b"\xff" * 100, "agent/s"))
    told = row(stored)
    assert (told.id, told.time_us, told.line, told.size) == ("1-0", 5, 7, 100)
    assert told.text == "\N{REPLACEMENT CHARACTER}" * 60 + "…"
