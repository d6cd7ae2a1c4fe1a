from __future__ import annotations

from pathlib import Path

from deodar.siem.storage.model import MODEL
from deodar.siem.storage.reference import page

COMMITTED = Path(__file__).parents[3] / "docs" / "reference" / "event-model.md"


def test_the_page_in_the_tree_is_current() -> None:
    assert page() == COMMITTED.read_text("utf-8"), "run python -m deodar.siem.storage.reference"


def test_every_field_has_its_line() -> None:
    lines = page().splitlines()
    for name in MODEL:
        assert sum(line.startswith(f"| `{name}` |") for line in lines) == 1, name
