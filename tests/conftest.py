"""What tests of several packages share."""

from __future__ import annotations

import os

import pytest

pytest_plugins = ["tests.store.fixtures"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs root where there is none, with the reason in the report."""
    if os.geteuid() == 0:
        return
    skip = pytest.mark.skip(reason="needs root: a real kernel sensor or a namespace")
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(skip)
