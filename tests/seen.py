"""What tests saw of settings, and of kinds of telemetry: collected for the pages in the docs."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deodar.tasks.reference import declared

if TYPE_CHECKING:
    from collections.abc import Iterable

Seen = dict[str, list[dict[str, str]]]


class SeenBook:
    """Notes what passed tests saw; at the end it replaces these entries of the file."""

    def __init__(self, file: Path, name: str, order: Iterable[str]) -> None:
        """`name` is that of the tests' property; `order` lists all that can be seen."""
        self._file = file.absolute()
        self._name = name
        self._order = order
        self._seen: Seen = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a test saw once it has passed."""
        if report.when != "call" or not report.passed:
            return
        for name, value in report.user_properties:
            if name == self._name:
                what, text = value
                entry = {"test": report.nodeid, "saw": text}
                self._seen.setdefault(what, []).append(entry)

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        before: Seen = json.loads(self._file.read_text("utf-8")) if self._file.is_file() else {}
        merged = before | self._seen
        ordered = {name: merged[name] for name in self._order if name in merged}
        aside = self._file.with_suffix(".new")
        aside.write_text(json.dumps(ordered, indent=2, ensure_ascii=False) + "\n", "utf-8")
        aside.replace(self._file)


def full_name(setting: str) -> str:
    """Return a setting's name with its task and section; the section may be left out.

    Raises ValueError, which names the nearest one.
    """
    task, _, name = setting.partition(".")
    known = declared()
    for full in known:
        if full == setting or (full.startswith(f"{task}.") and full.endswith(f".{name}")):
            return full
    near = difflib.get_close_matches(setting, known, n=1)
    raise ValueError(f"there is no setting {setting}; nearest: {near}")
