"""What tests of several packages share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from tests.conformance.connector.rows import ROWS
from tests.seen import SeenBook, full_name

from deodar.events.kinds import KINDS
from deodar.tasks.reference import declared

pytest_plugins = ["tests.store.fixtures"]

settings.register_profile("same", derandomize=True)
if not os.environ.get("DEODAR_FUZZ_SECONDS"):
    settings.load_profile("same")
"""The same inputs in each run of the suite; ``make fuzz`` is what looks for others."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that collect what tests saw."""
    parser.addoption("--seen", type=Path, metavar="FILE", help="write what tests of settings saw")
    parser.addoption(
        "--every-database", action="store_true", help="all tests of control data on PostgreSQL too"
    )
    parser.addoption("--kinds", type=Path, metavar="FILE", help="write what tests of kinds saw")
    parser.addoption("--rows", type=Path, metavar="FILE", help="write what tests of rows saw")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to collect what tests saw, if asked to; let Ctrl-C be heard by what they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so it is for what runs with &
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if file := config.getoption("--seen"):
        config.pluginmanager.register(SeenBook(file, "saw", declared()), "seen-settings")
    if file := config.getoption("--kinds"):
        numbers = [str(kind.number) for kind in KINDS]
        config.pluginmanager.register(SeenBook(file, "kind", numbers), "seen-kinds")
    if file := config.getoption("--rows"):
        keys = [f"{row.section} {row.text}" for row in ROWS]
        config.pluginmanager.register(SeenBook(file, "row", keys), "seen-rows")


@pytest.fixture
def saw(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return a function that notes what was measured of a setting, for the page in the docs.

    Call it as ``saw("KATAEDR.RequestTimeout", "given up after 2.0 s")``; it counts once the test
    has passed. The test carries ``@pytest.mark.setting("KATAEDR.RequestTimeout")``.
    """

    def note(setting: str, text: str) -> None:
        request.node.user_properties.append(("saw", (full_name(setting), text)))

    return note


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> Callable[[int, str], None]:
    """Return a function that notes what was seen of a kind of telemetry, for the page in the docs.

    Call it as ``kind(12, "asked by dig and by getaddrinfo")``; it counts once the test has passed.
    The test carries ``@pytest.mark.kind``.
    """

    def note(number: int, text: str) -> None:
        request.node.user_properties.append(("kind", (str(number), text)))

    return note


HOST = ("agent/", "bench/", "demo/", "e2e/", "machines/", "packaging/")
"""Tests that watch or measure this very host: one at a time, with nothing else going on."""
SHARING = (
    *(f"agent/{name}" for name in ("gather", "journal", "spool", "tasking", "tasks")),
    *(f"e2e/test_{name}.py" for name in ("api_schema", "backup", "connectors", "distributed")),
    *(f"e2e/test_{name}.py" for name in ("fleet", "nodes", "postgresql", "users_by_curl")),
)
"""Of those, what may run beside others where it does not need root: no sensor, own servers."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the host; skip what needs root where there is none, and say so."""
    tests = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(tests).as_posix()
        shares = place.startswith(SHARING) and not item.get_closest_marker("root")
        if place.startswith(HOST) and not shares:
            item.add_marker(pytest.mark.host)
    if os.geteuid() == 0:
        return
    skip = pytest.mark.skip(reason="needs root: a real kernel sensor or a namespace")
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(skip)
