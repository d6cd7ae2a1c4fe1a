"""The benchmarks of the EDR server in their short form: that they run, and lose nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench.edr_readers import measure
from bench.followers import FILTERS
from bench.stand import stack
from deodar import kedrql

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def lines(*words: object) -> dict[str, float]:
    command = [sys.executable, "-m", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    told = map(json.loads, done.stdout.splitlines())
    return {one["what"].partition(": ")[2] or one["what"]: one["value"] for one in told}


def test_a_small_fleet_delivers_everything():
    told = lines("bench.edr_ingest", 20, 2)  # the benchmark itself checks each receipt
    assert told["events acknowledged, client included"] > 0
    assert told["packets to be sent again"] == 0


def test_a_small_fleet_waits_for_orders():
    told = lines("bench.edr_idle", 30, 2, 2)
    assert told["memory of the server"] > 0


def test_what_is_committed_is_delivered_to_a_system_that_waits():
    with stack() as parts:
        told = {line.what: line.value for line in measure(parts, 2000, 10)}
    assert told["events API, one reader alone"] > 0
    assert told[f"events that the {len(FILTERS)} got meanwhile"] > 0
    assert told[f"commit to delivery beside {len(FILTERS)} with filters, p50"] < 5


@pytest.mark.parametrize("text", FILTERS)
def test_each_filter_is_one(text):
    kedrql.parse(text)
