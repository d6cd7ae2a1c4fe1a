"""The page docs/reference/connector-kata-edr-conformance.md: each row, its tests, what they saw.

The tests are found by their mark ``connector_row(section, text)`` in the source; what they saw is
written by ``pytest tests/conformance/connector --rows FILE``.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.conformance.connector.rows import ROWS, SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FOLDER = Path(__file__).resolve().parent
HEAD = """\
# Conformance of the connector `kata/edr`

<!-- Made by `make docs` from tests/conformance/connector/rows.py and what its tests saw. -->

What a collector with this connector does, row by row: KUMA's settings, its life cycle, statuses and
errors, and servers that misbehave. The tests run a whole collector, with a real core behind it,
against a scripted server in a thread of its own, over TLS. They run with `make test`; what they
saw is kept by `make seen-connector`.
"""


class Mark(NamedTuple):
    """A mark of a test."""

    section: str
    text: str
    test: str


def key(section: str, text: str) -> str:
    """Return a row's name in the file of what was seen."""
    return f"{section} {text}"


def marks() -> list[Mark]:
    """Return all marks in the tests of this folder, in the order of files and lines."""
    return [mark for path in sorted(FOLDER.glob("test_*.py")) for mark in _of_file(path)]


def page(seen: Mapping[str, Sequence[Mapping[str, str]]] | None = None) -> str:
    """Return the page's text."""
    found = marks()
    lines = (line for one in SECTIONS for line in _chapter(one, found, seen or {}))
    return "\n".join([HEAD, *lines]) + "\n"


def _chapter(
    section: str, found: Sequence[Mark], seen: Mapping[str, Sequence[Mapping[str, str]]]
) -> Iterator[str]:
    yield f"\n## {section} {SECTIONS[section]}\n"
    yield "| What | Decided here | Test | What was seen |"
    yield "|---|---|---|---|"
    for row in ROWS:
        if row.section != section:
            continue
        tests = ", ".join(f"`{mark.test}`" for mark in found if mark[:2] == row[:2]) or "**none**"
        saw = "; ".join(one["saw"] for one in seen.get(key(*row[:2]), ()))
        yield f"| {_cell(row.text)} | {_cell(row.ours)} | {tests} | {_cell(saw)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _of_file(path: Path) -> Iterator[Mark]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for one in node.decorator_list:
            if isinstance(one, ast.Call) and ast.unparse(one.func) == "pytest.mark.connector_row":
                section, text = (ast.literal_eval(argument) for argument in one.args)
                yield Mark(section, text, f"{path.stem}::{node.name}")
