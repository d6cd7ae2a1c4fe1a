from __future__ import annotations

from pathlib import Path

from deodar.events.vocabulary import VOCABULARY
from deodar.siem.normalizers.reference import page, unmapped

COMMITTED = Path(__file__).parents[3] / "docs" / "reference" / "normalizer-kedr.md"


def test_the_page_in_the_tree_is_current() -> None:
    assert page() == COMMITTED.read_text("utf-8"), "run python -m deodar.siem.normalizers.reference"


def test_every_field_of_the_vocabulary_is_on_the_page() -> None:
    text = page()
    for name in VOCABULARY.fields:
        nested = name.startswith(("EventData.", "System.", "Ioa."))
        assert f"`{name}`" in text or nested, name


def test_no_field_is_both_mapped_and_without_a_target() -> None:
    assert "WorkingDirectory" in unmapped()
    assert "HostName" not in unmapped()
    assert all(not name.startswith(("Ioa.", "EventData.")) for name in unmapped())
