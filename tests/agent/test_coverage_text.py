from __future__ import annotations

from deodar.agent.coverage import coverage
from deodar.agent.coverage_text import render


def test_the_table_names_what_is_covered_by_what_and_since_when() -> None:
    now = 1_800_000_000
    kinds = coverage(["agent", "bpf/core"], [("bpf/files", "refused")], {1: (now - 5) * 1_000_000})
    lines = render(kinds, now).splitlines()
    assert "bpf/core" in lines[1]
    assert "5 s ago" in lines[1]
    assert "! not covered" in lines[3]
    assert "never" in lines[3]
    assert "! 3, 4, 5, 18, 20, 34: bpf/files: refused" in lines
    assert lines[-1].endswith("of 34 kinds are covered")
    assert max(map(len, lines)) <= 120


def test_reasons_from_outside_are_printed_without_control_characters() -> None:
    kinds = coverage(["agent", "bpf/core"], [("bpf/files", "\x1b[31mred")], {})
    assert "\x1b" not in render(kinds, 0)
