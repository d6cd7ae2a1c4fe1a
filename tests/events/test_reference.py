from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from deodar.events import VOCABULARY
from deodar.events.reference import page

COMMITTED = Path(__file__).parents[2] / "docs" / "reference" / "events.md"


def test_the_page_in_the_tree_is_the_one_that_the_vocabulary_makes() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "deodar.events.reference"], capture_output=True, check=True
    ).stdout.decode()
    assert printed == COMMITTED.read_text("utf-8"), "run python -m deodar.events.reference"


def test_every_type_and_field_has_its_line() -> None:
    lines = page().splitlines()
    for name in [*VOCABULARY.types, *VOCABULARY.fields]:
        assert sum(line.startswith(f"| `{name}`") for line in lines) == 1, name


def test_every_link_leads_to_a_heading() -> None:
    text = page()
    headings = {
        re.sub(r"[^\w -]", "", line[4:].lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("### ")
    }
    linked = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert linked
    assert linked <= headings
