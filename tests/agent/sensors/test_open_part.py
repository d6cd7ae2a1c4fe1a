from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.agent.sensors.conftest import needs_programs

from deodar.agent.sensors.base import Exec
from deodar.agent.sensors.errors import BlobError, MalformedRecord, SensorUnavailable
from deodar.agent.sensors.losses import MALFORMED, Loss
from deodar.agent.sensors.open_part import (
    MOST_OWN_PIDS,
    MOST_SHOWN,
    RING_FULL,
    SHOWN_BYTES,
    open_part,
)
from deodar.agent.sensors.parts.core import CORE

pytestmark = pytest.mark.root
RING = 1 << 20


def open_files():
    return list(Path("/proc/self/fd").iterdir())


def test_records_are_read_up_to_where_one_wants():
    opened = open_part(CORE, RING)
    try:
        subprocess.run(["/bin/true", "first"], check=True)
        end = opened.ring.written
        subprocess.run(["/bin/true", "second"], check=True)
        before, _ = opened.drain(10_000, 0, end)
        after, taken = opened.drain(10_000, 0)
    finally:
        opened.close()
    assert any(isinstance(r, Exec) and r.argv[-1] == b"first" for r in before)
    assert not any(isinstance(r, Exec) and r.argv[-1] == b"second" for r in before)
    assert any(isinstance(r, Exec) and r.argv[-1] == b"second" for r in after)
    assert taken >= len(after) > 0


def test_record_that_cannot_be_read_is_counted_and_told_with_its_part():
    def refuse(*_):
        raise MalformedRecord("odd")

    opened = open_part(dataclasses.replace(CORE, decode=refuse), RING)
    try:
        for _ in range(MOST_SHOWN):
            subprocess.run(["/bin/true"], check=True)
        with capture_logs() as logs:
            records, taken = opened.drain(10_000, 0)
        losses = opened.losses()
    finally:
        opened.close()
    assert records == []
    assert losses[Loss(CORE.name, MALFORMED)] == taken > MOST_SHOWN
    assert [log["count"] for log in logs] == [*range(1, MOST_SHOWN + 1)]
    assert {(log["part"], log["error"]) for log in logs} == {(CORE.name, "odd")}
    assert all(len(bytes.fromhex(log["begins"])) == SHOWN_BYTES for log in logs)
    assert losses[Loss("exec", RING_FULL)] == 0


@needs_programs
def test_what_fails_leaves_nothing_behind():
    before = len(open_files())

    def fail(_loaded):
        raise OSError(28, "no space")

    with pytest.raises(SensorUnavailable, match="maps"):
        open_part(dataclasses.replace(CORE, prepare=fail), RING)
    with pytest.raises(SensorUnavailable):
        open_part(CORE, 4097)  # no power of two
    with pytest.raises(BlobError, match="nothing"):
        open_part(dataclasses.replace(CORE, name="nothing"), RING)
    assert len(open_files()) == before


def test_no_more_processes_are_left_out_than_there_is_room_for():
    opened = open_part(CORE, RING)
    try:
        opened.ignore(range(1, 100))
        opened.arm()
        settings = opened._settings.tolist()[: MOST_OWN_PIDS + 2]
    finally:
        opened.close()
    assert settings == [2, *range(1, MOST_OWN_PIDS + 1), 0]
