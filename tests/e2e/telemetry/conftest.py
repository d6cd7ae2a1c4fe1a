"""The whole way for the tests of telemetry: one agent, EDR server and SIEM for all of them."""

from __future__ import annotations

import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from deodar.demo.stack import Ports, Stack, attempts

if TYPE_CHECKING:
    from collections.abc import Iterator

FOUND_WITHIN = 45.0
"""Seconds that an event may take on a busy host, hashes and held-back changes included."""


class Watched:
    """A host that is watched, and the SIEM where its events are found."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def rows(
        self, event_type: str, *conditions: str, wanted: int = 1, limit: float = FOUND_WITHIN
    ) -> list[dict[str, Any]]:
        """Return the normalized events of a type, waiting until `wanted` of them are there.

        Conditions are SQL. Raises AssertionError when there are fewer in the end.
        """
        every = " AND ".join([f"DeviceEventCategory = '{event_type}'", *conditions])
        sql = f"SELECT * FROM events WHERE {every} ORDER BY EndTime LIMIT 1000"
        rows: list[dict[str, Any]] = []
        for _ in attempts(limit, pause=0.3):
            rows = self.stack.search(sql)
            if len(rows) >= wanted:
                return rows
        raise AssertionError(f"{len(rows)} of {wanted} events within {limit:g} s: {every}")

    def row(self, event_type: str, *conditions: str) -> dict[str, Any]:
        """Return the first such event."""
        return self.rows(event_type, *conditions)[0]

    def none(self, event_type: str, *conditions: str) -> bool:
        """Return whether there is no such event, once all that happened before has arrived."""
        self.fence()
        every = " AND ".join([f"DeviceEventCategory = '{event_type}'", *conditions])
        return self.stack.search(f"SELECT ID FROM events WHERE {every} LIMIT 1") == []

    def fence(self) -> None:
        """Wait until a command that starts now, and what was held back before it, is found."""
        mark = uuid.uuid4().hex
        subprocess.run(["/bin/sh", "-c", f"sleep 3; : {mark}"], check=True)
        self.rows("process_terminate", f"DeviceCustomString4 LIKE '%{mark}%'")


@pytest.fixture(scope="package")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Return a host whose agent, with its default sensors, sends to a collector's EDR server."""
    stack = Stack(tmp_path_factory.mktemp("telemetry"), Ports(edr=0, core=0))
    url = stack.start_edr()["url"]
    stack.start_core(url)
    stack.start_collector()
    stack.accept_collector()
    stack.start_agent()
    yield Watched(stack)
    stack.close()


@pytest.fixture
def mark() -> str:
    """A text that only this test's things carry."""
    return f"m{uuid.uuid4().hex[:16]}"
