from __future__ import annotations

from deodar.events.kinds import KINDS
from deodar.events.kinds_reference import page


def test_every_kind_is_there_and_marked_as_untested_until_a_test_saw_it() -> None:
    text = page()
    for kind in KINDS:
        assert f"| {kind.number} | {kind.title} |" in text
    assert text.count("**untested**") == len(KINDS)
    assert "0.0 of 28.3 points" in text


def test_what_tests_saw_is_told_with_the_test() -> None:
    text = page({"12": [{"test": "tests/e2e/test_x.py::test_dns", "saw": "dig and getaddrinfo"}]})
    assert text.count("**untested**") == len(KINDS) - 1
    assert "1.0 of 28.3 points" in text
    assert "| 12 | DNS query | dig and getaddrinfo | `tests/e2e/test_x.py` test_dns |" in text
