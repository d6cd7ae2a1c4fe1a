"""What tests of several packages share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.seen import SeenBook, full_name

pytest_plugins = ["tests.store.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that collects what tests of settings saw."""
    parser.addoption("--seen", type=Path, metavar="FILE", help="write what tests of settings saw")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to collect what tests of settings saw, if asked to."""
    if file := config.getoption("--seen"):
        config.pluginmanager.register(SeenBook(file), "seen-book")


@pytest.fixture
def saw(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return a function that notes what was measured of a setting, for the page in the docs.

    Call it as ``saw("KATAEDR.RequestTimeout", "given up after 2.0 s")``; it counts once the test
    has passed. The test carries ``@pytest.mark.setting("KATAEDR.RequestTimeout")``.
    """

    def note(setting: str, text: str) -> None:
        request.node.user_properties.append(("saw", (full_name(setting), text)))

    return note


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs root where there is none, with the reason in the report."""
    if os.geteuid() == 0:
        return
    skip = pytest.mark.skip(reason="needs root: a real kernel sensor or a namespace")
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(skip)
