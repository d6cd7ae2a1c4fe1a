from __future__ import annotations

from pathlib import Path

from deodar.agent.journal.event_types import EventType
from deodar.agent.journal.query import OPERATORS, parse
from deodar.agent.journal.record import FIELDS
from deodar.agent.journal.reference import page

COMMITTED = Path(__file__).parents[3] / "docs" / "reference" / "agent-events.md"


def test_the_page_in_the_tree_is_the_one_that_the_code_makes() -> None:
    assert page() == COMMITTED.read_text("utf-8"), "run make docs"


def test_every_field_type_and_operator_is_on_it() -> None:
    lines = page().splitlines()
    for name in [*(kind.value for kind in EventType), *(field.name for field in FIELDS)]:
        assert sum(line.startswith(f"| `{name}` |") for line in lines) == 1, name
    for operator in OPERATORS:
        assert f"`{operator}`" in page()


def test_the_example_on_it_is_a_query() -> None:
    example = page().split("```\n")[1]
    assert len(parse(example).conditions) == 3
