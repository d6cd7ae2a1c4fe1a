"""A plugin of pytest inside a guest: tells each test's begin and outcome over the serial line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.kernels.plan import MOST_TEXT

CONSOLE = Path(os.environ.get("DEODAR_CONSOLE", "/dev/ttyS0"))


def tell(step: str, **seen: object) -> None:
    """Write one line for the host; a line end before it, should somebody else's be unfinished."""
    with CONSOLE.open("a") as console:
        console.write(f"\nSEEN {json.dumps({'step': step, **seen})}\n")


def pytest_runtest_logstart(nodeid: str) -> None:
    """Tell that a test begins, so that one that hangs is known."""
    tell("start", test=nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell how a test ended; of what comes before and after it only what is not in order."""
    if report.when == "call" or not report.passed:
        _tell_outcome(report.nodeid, report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Tell of a file that cannot be imported, or that skips as a whole."""
    if not report.passed:
        _tell_outcome(report.nodeid, report)


def _tell_outcome(name: str, report: pytest.TestReport | pytest.CollectReport) -> None:
    said = ""
    if report.skipped:
        said = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    elif report.failed:
        said = report.longreprtext
    tell("test", test=name, outcome=report.outcome, said=said[-MOST_TEXT:])
