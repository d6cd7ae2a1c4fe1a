"""What tests saw is collected: `tests/seen.py`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.seen import SeenBook, full_name

from deodar.tasks.reference import declared

SYNC, TIMEOUT = "KATAEDR.SynchronizationPeriod", "KATAEDR.RequestTimeout"


def _report(outcome: str, setting: str, text: str) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=f"tests/x.py::test_{text}",
        location=("tests/x.py", 1, "test"),
        keywords={},
        outcome=outcome,
        longrepr=None,
        when="call",
        user_properties=[("saw", (setting, text)), ("other", 1)],
    )


def test_a_run_replaces_what_it_tells_of(tmp_path: Path) -> None:
    file = tmp_path / "seen.json"
    old = [{"test": "tests/old.py::test_old", "saw": "old"}]
    file.write_text(json.dumps({TIMEOUT: old, SYNC: old, "KATAEDR.Gone": old}))
    book = SeenBook(file, "saw", declared())
    for text in ("one", "two"):
        book.pytest_runtest_logreport(_report("passed", SYNC, text))
    book.pytest_runtest_logreport(_report("failed", TIMEOUT, "three"))
    book.pytest_sessionfinish()
    assert json.loads(file.read_text()) == {
        SYNC: [
            {"test": "tests/x.py::test_one", "saw": "one"},
            {"test": "tests/x.py::test_two", "saw": "two"},
        ],
        TIMEOUT: old,
    }
    assert list(tmp_path.iterdir()) == [file]


def test_the_first_run_makes_the_file(tmp_path: Path) -> None:
    book = SeenBook(tmp_path / "seen.json", "saw", declared())
    book.pytest_runtest_logreport(_report("passed", SYNC, "one"))
    book.pytest_sessionfinish()
    assert list(json.loads((tmp_path / "seen.json").read_text())) == [SYNC]


def test_the_section_of_a_name_may_be_left_out() -> None:
    full = "KATAEDR.EventTransferSettings.MaximumDataTransferTime"
    assert full_name("KATAEDR.MaximumDataTransferTime") == full_name(full) == full
    assert full_name("KATAEDR.Endpoints") == "KATAEDR.Endpoints"
    with pytest.raises(ValueError, match=r"nearest: \['KATAEDR\.RequestTimeout'\]"):
        full_name("KATAEDR.RequestTimout")


def test_a_test_may_tell_what_it_saw(saw, request: pytest.FixtureRequest) -> None:
    saw("KATAEDR.Port", "seen")
    assert request.node.user_properties == [("saw", ("KATAEDR.Endpoints.Port", "seen"))]
    request.node.user_properties.clear()


def test_a_test_may_tell_which_kind_of_telemetry_it_saw(
    kind, request: pytest.FixtureRequest
) -> None:
    kind(12, "seen")
    assert request.node.user_properties == [("kind", ("12", "seen"))]
    request.node.user_properties.clear()
