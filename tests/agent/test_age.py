from __future__ import annotations

import time
from pathlib import Path

import pytest

from deodar.agent.age import EARLIEST, AgeClock, boot_id, since_boot

DAY = 86_400.0
YEAR = 365 * DAY


class Host:
    """A host whose clocks a test turns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.since_boot = 1000.0
        self.wall = EARLIEST + YEAR
        self.boot = "first"

    def passes(self, seconds: float) -> None:
        self.since_boot += seconds
        self.wall += seconds

    def reboots(self, seconds: float) -> None:
        self.wall += seconds
        self.since_boot, self.boot = 10.0, self.boot + " again"

    def clock(self) -> AgeClock:
        return AgeClock(
            self.path, running=lambda: self.since_boot, wall=lambda: self.wall, boot=self.boot
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "age.json")


def test_it_begins_at_nothing_and_goes_on_with_time(host: Host) -> None:
    clock = host.clock()
    assert clock.now() == 0
    host.passes(21 * DAY)
    assert clock.now() == pytest.approx(21 * DAY)


@pytest.mark.parametrize("step", [YEAR, -YEAR, 30 * YEAR, -60 * YEAR])
def test_a_step_of_the_wall_clock_while_running_ages_nothing(host: Host, step: float) -> None:
    clock = host.clock()
    host.passes(60)
    host.wall += step
    clock.save(now=True)
    assert clock.now() == pytest.approx(60)
    host.passes(60)
    assert host.clock().now() == pytest.approx(120)  # the agent alone was started again


def test_time_without_the_agent_counts_by_the_clock_since_boot(host: Host) -> None:
    host.clock().save(now=True)
    host.passes(3 * DAY)
    host.wall -= YEAR
    assert host.clock().now() == pytest.approx(3 * DAY)


def test_time_without_the_host_counts_by_the_wall_clock(host: Host) -> None:
    clock = host.clock()
    host.passes(DAY)
    clock.save(now=True)
    host.reboots(2 * DAY)
    assert host.clock().now() == pytest.approx(3 * DAY)


def test_a_clock_that_was_put_back_meanwhile_counts_as_no_time(host: Host) -> None:
    clock = host.clock()
    host.passes(DAY)
    clock.save(now=True)
    host.reboots(-YEAR)
    assert host.clock().now() == pytest.approx(DAY)


def test_a_host_that_did_not_know_the_date_ages_nothing(host: Host) -> None:
    host.wall = 100.0
    clock = host.clock()
    host.passes(DAY)
    clock.save(now=True)
    host.reboots(EARLIEST + YEAR)
    assert host.clock().now() == pytest.approx(DAY)


def test_the_file_is_written_once_a_minute(host: Host) -> None:
    clock = host.clock()
    clock.save()
    first = host.path.read_bytes()
    host.passes(59)
    clock.save()
    assert host.path.read_bytes() == first
    host.passes(1)
    clock.save()
    assert host.path.read_bytes() != first
    assert [path.name for path in host.path.parent.iterdir()] == [host.path.name]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"age": "old"}'])
def test_a_damaged_file_begins_anew_and_others_may_know_better(host: Host, content: bytes) -> None:
    host.path.write_bytes(content)
    clock = host.clock()
    assert clock.now() == 0
    clock.at_least(5 * DAY)
    assert clock.now() == pytest.approx(5 * DAY)
    clock.at_least(DAY)
    assert clock.now() == pytest.approx(5 * DAY)


def test_a_disk_that_refuses_is_borne(tmp_path: Path) -> None:
    host = Host(tmp_path / "absent" / "age.json")
    clock = host.clock()
    clock.save(now=True)
    host.passes(5)
    assert clock.now() == pytest.approx(5)


def test_the_real_clocks_go_on(tmp_path: Path) -> None:
    assert len(boot_id()) == 36
    before = time.monotonic()
    assert since_boot() >= before - 0.001  # asleep, the one stands still
    clock = AgeClock(tmp_path / "age.json")
    clock.save(now=True)
    first = clock.now()
    again = AgeClock(tmp_path / "age.json")
    assert first <= again.now() < first + 60
    assert AgeClock(None).now() < 60
