"""The page of settings: what it shows, and that a test stands behind each of them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from deodar.tasks.declarations import KINDS
from deodar.tasks.ini import from_ini
from deodar.tasks.reference import declared, page
from deodar.tasks.settings import KataEdrSettings

ROOT = Path(__file__).resolve().parents[2]
SEEN = ROOT / "docs" / "reference" / "agent-settings.seen.json"
OWN = ("tests/tasks/", "tests/agent/tasks/")
WITHOUT_EFFECT = {"Behavior_Detection.TrustedPrograms.ProgramDesc"}
"""A note for people: to be kept is all that it does."""


def test_the_page_has_every_setting_with_its_meaning() -> None:
    text = page()
    for name, setting in declared().items():
        row = f"| `{name.partition('.')[2]}` | "
        found = next(line for line in text.splitlines() if line.startswith(row))
        assert setting.range in found or setting.range.removeprefix("a ") in found
        assert len(found.split("|")[4].strip()) > 10
    for name in KINDS:
        assert f"## {name}\n" in text


def test_the_page_has_what_was_seen() -> None:
    seen = {
        "KATAEDR.RequestTimeout": [{"test": "tests/x.py::test_y", "saw": "given up | after 2 s"}]
    }
    assert "| `RequestTimeout` | given up \\| after 2 s | `tests/x.py::test_y` |" in page(seen)
    assert "| `ConnectionTimeout` | not yet tested |  |" in page(seen)


def test_the_example_of_the_page_can_be_used() -> None:
    example = re.search(r"```ini\n(.*?)```", page(), re.DOTALL)
    assert example
    assert from_ini(example[1], KataEdrSettings, "")["Endpoints"]


@pytest.fixture(scope="module")
def seen() -> dict[str, list[dict[str, str]]]:
    return json.loads(SEEN.read_text("utf-8"))


def test_every_setting_was_seen(seen) -> None:
    assert [name for name in declared() if not seen.get(name)] == []


def test_what_was_seen_is_of_tests_that_there_are(seen) -> None:
    missing = {e["test"] for entries in seen.values() for e in entries if not _is_there(e["test"])}
    assert missing == set()
    assert set(seen) <= set(declared())


def test_what_every_setting_does_was_seen_where_it_is_done(seen) -> None:
    """Others than the tests of the settings' own keeping have to show an effect.

    After adding one: pytest -m setting --seen docs/reference/agent-settings.seen.json
    """
    told = {
        name
        for name, entries in seen.items()
        if any(not entry["test"].startswith(OWN) for entry in entries)
    }
    lists = {name for name in declared() if any(one.startswith(f"{name}.") for one in told)}
    assert set(declared()) - told - lists <= WITHOUT_EFFECT


def _is_there(node: str) -> bool:
    file, _, name = node.partition("::")
    path = ROOT / file
    if not path.is_file():
        return False
    wanted = name.partition("[")[0].rpartition("::")[2]
    functions = ast.walk(ast.parse(path.read_text("utf-8")))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return any(isinstance(found, kinds) and found.name == wanted for found in functions)
