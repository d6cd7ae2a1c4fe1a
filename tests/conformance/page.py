"""The page docs/reference/kata-conformance.md: each row of the API with the tests that show it.

The tests are found by their mark ``row(section, text)`` in the source, without running them.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.conformance.rows import OPEN, ROWS, SECTIONS, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
LISTED = ("1", "2", "4")
"""Chapters whose rows are in `ROWS`; those of others are what their tests say."""
HEAD = """\
# Conformance with KATA's API for external systems

<!-- Made by `make docs` from tests/conformance/rows.py and the marks of the tests. -->

What a client of KATA's API can rely on, row by row, and the tests that show it: they ask a running
server by plain HTTPS requests, as a script written against KATA does. They run with `make test`.

KATA's API is documented in part only. The second column says where a row is from: the vendor's
help, the guide of KUMA's connector, or what programs that talk to KATA are known to do. Where
nothing is publicly known the third column says what Deodar decided; a real KATA server may do
otherwise there.
"""


class Mark(NamedTuple):
    """A mark of a test."""

    section: str
    text: str
    test: str


def marks() -> list[Mark]:
    """Return all marks ``row`` in the tests, in the order of files and lines."""
    return [mark for path in sorted(TESTS.rglob("test_*.py")) for mark in _of_file(path)]


def page() -> str:
    """Return the page's text."""
    found = marks()
    return "\n".join([HEAD, *(line for section in SECTIONS for line in _chapter(section, found))])


def without_test(found: list[Mark]) -> list[str]:
    """Return the rows of the list that no test is marked with."""
    seen = {(mark.section, mark.text) for mark in found}
    return [f"{row.section} {row.text}" for row in ROWS if (row.section, row.text) not in seen]


def unknown(found: list[Mark]) -> list[str]:
    """Return marks that name a section, or a row of a listed chapter, that is not there."""
    known = {(row.section, row.text) for row in ROWS}
    return [
        f"{mark.test}: {mark.section} {mark.text}"
        for mark in found
        if mark.section not in SECTIONS
        or (mark.section[0] in LISTED and (mark.section, mark.text) not in known)
    ]


def _chapter(section: str, found: list[Mark]) -> Iterator[str]:
    rows = [row for row in ROWS if row.section == section]
    texts = dict.fromkeys(mark.text for mark in found if mark.section == section)
    rows += [Row(section, text, "") for text in texts if section[0] not in LISTED]
    if not rows:
        return
    yield f"\n## {section} {SECTIONS[section]}\n"
    yield "| What | Known from | Decided here | Tests |"
    yield "|---|---|---|---|"
    for row in rows:
        tests = [mark.test for mark in found if mark[:2] == row[:2]]
        linked = ", ".join(f"`{test}`" for test in tests) or "**none**"
        known = f"*{row.known}*" if row.known == OPEN else row.known
        yield f"| {_cell(row.text)} | {known} | {_cell(row.ours)} | {linked} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _of_file(path: Path) -> Iterator[Mark]:
    if "mark.row(" not in (text := path.read_text("utf-8")):
        return
    name = path.relative_to(TESTS).as_posix()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                if (found := _mark(decorator)) is not None:
                    yield Mark(*found, f"{name}::{node.name}")


def _mark(decorator: ast.expr) -> tuple[str, str] | None:
    """Return section and text of ``@pytest.mark.row("1.1", "…")``, None for another decorator."""
    if not (isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.row"):
        return None
    section, text = (ast.literal_eval(argument) for argument in decorator.args)
    return str(section), str(text)
