from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from deodar.edr.space import Space, written

MB = 1 << 20


class Disk:
    """Room on a made-up disk, and the clock; the real one cannot be filled to the byte here.

    A real full disk is in tests/e2e/test_full_disk.py.
    """

    def __init__(self, monkeypatch) -> None:
        self.free = 0
        self.now = 0.0
        self.looks = 0
        monkeypatch.setattr(os, "statvfs", self.statvfs)

    def statvfs(self, _folder):
        self.looks += 1
        return SimpleNamespace(f_bavail=self.free, f_frsize=1)

    def clock(self) -> float:
        return self.now

    def later(self, free: int) -> None:
        self.free = free
        self.now += 1


@pytest.fixture
def disk(monkeypatch) -> Disk:
    return Disk(monkeypatch)


def test_below_the_reserve_there_is_no_room_until_a_little_more_is_free(disk, tmp_path):
    space = Space([tmp_path], 160 * MB, disk.clock)
    disk.later(160 * MB)
    assert space.shortage() is None
    disk.later(159 * MB)
    assert space.shortage() == (
        f"the disk of {tmp_path} has 159 MB left; 160 MB are kept free (ingest.free_bytes)"
    )
    disk.later(165 * MB)
    assert space.shortage() is not None
    disk.later(170 * MB)
    assert space.shortage() is None
    assert space.free == 170 * MB


def test_the_disk_is_not_asked_for_each_packet(disk, tmp_path):
    space = Space([tmp_path], 1, disk.clock)
    for _ in range(100):
        space.shortage()
    assert disk.looks == 1


def test_without_a_reserve_there_is_always_room(disk, tmp_path):
    assert Space([tmp_path], 0, disk.clock).shortage() is None


def test_the_fullest_disk_counts_and_one_that_is_gone_is_full(tmp_path):
    there, gone = Space([tmp_path], 1), Space([tmp_path, tmp_path / "gone"], 1)
    assert there.free > 0
    assert there.shortage() is None
    assert gone.free == 0
    assert "gone has 0 MB left" in gone.shortage()


def test_a_store_elsewhere_sees_to_its_own_room(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    assert written(tmp_path, f"chdb://{store}") == [tmp_path, store]
    assert written(tmp_path, "clickhouse://u:p@db:8123/d") == [tmp_path]
