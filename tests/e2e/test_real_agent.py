"""What happens on this host is found in the SIEM: the agent's real sensor, the whole way."""

from __future__ import annotations

import hashlib
import subprocess
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest

from deodar.demo.stack import Stack, attempts

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def watched(stack: Stack) -> Stack:
    """Return a stack whose collector is accepted and whose agent watches this host."""
    url = stack.start_edr()["url"]
    stack.start_core(url)
    stack.start_collector()
    stack.accept_collector()
    stack.start_agent()
    return stack


def _find(stack: Stack, marker: str, wanted: int, limit: float) -> list[dict]:
    rows: list[dict] = []
    for _ in attempts(limit):
        rows = stack.search(
            "SELECT * FROM events WHERE DeviceEventCategory = 'process' "
            f"AND DeviceCustomString4 LIKE '%{marker}%' LIMIT 5000"
        )
        if len(rows) >= wanted:
            break
    return rows


def test_a_command_is_found_with_arguments_hashes_user_and_parent(watched: Stack):
    marker = uuid.uuid4().hex
    began = time.monotonic()
    subprocess.run(["/bin/echo", marker, "two words"], check=True, capture_output=True)
    (row,) = _find(watched, marker, 1, 30)
    assert time.monotonic() - began < 10  # the demonstration measures the two seconds

    digest = hashlib.sha256(Path("/bin/echo").read_bytes()).hexdigest()
    assert row["DeviceCustomString2"].lower() == digest
    assert row["DeviceCustomString4"].endswith(f"{marker} 'two words'")
    assert row["FileName"] == "echo"
    assert "root" in row["SourceUserName"]
    assert int(row["SourceProcessID"]) > 0


def test_a_thousand_short_processes_are_a_thousand_rows(watched: Stack):
    marker = uuid.uuid4().hex
    loop = f"for i in $(seq 1000); do /bin/true {marker} $i; done"
    subprocess.run(["/bin/bash", "-c", loop], check=True, timeout=120)
    rows = _find(watched, f"true {marker}", 1000, 60)
    counted = Counter(
        row["DeviceCustomString4"].split()[-1] for row in rows if row["FileName"] == "true"
    )
    assert counted == {str(number): 1 for number in range(1, 1001)}
