from __future__ import annotations

import asyncio
import json
import os
import resource
import signal

import pytest
import zstandard
from tests.siem.batches import batch

from deodar.siem.destinations.file import FileDestination, FileSettings
from deodar.siem.errors import DestinationUnavailable


def opened(tmp_path, **changes) -> FileDestination:
    settings = FileSettings(name="archive", kind="file", path="events.jsonl", **changes)
    return FileDestination(settings, tmp_path)


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def all_ids(folder) -> list[str]:
    """Every event's ID in all files, packed or not."""
    found = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        if path.suffix == ".zst":
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        found += [json.loads(line)["ID"] for line in data.splitlines()]
    return found


async def test_batches_are_appended_line_by_line(tmp_path):
    destination = opened(tmp_path)
    size = await destination.deliver(batch(2, "b1"))
    await destination.deliver(batch(1, "b2"))
    found = lines(tmp_path / "events.jsonl")
    assert [(one["BatchID"], one["ID"]) for one in found] == [
        ("b1", "id-0"), ("b1", "id-1"), ("b2", "id-0"),
    ]  # fmt: skip
    assert 0 < size < (tmp_path / "events.jsonl").stat().st_size
    await destination.close()


async def test_a_full_file_is_rotated_and_packed_and_nothing_is_lost(tmp_path):
    destination = opened(tmp_path, rotate_bytes=2_000, compression="zstd")
    for number in range(6):
        await destination.deliver(batch(5, f"b{number}"))
    await destination.close()
    rotated = [path for path in tmp_path.iterdir() if path.name != "events.jsonl"]
    assert len(rotated) >= 3
    assert all(path.name.endswith(".jsonl.zst") for path in rotated)
    assert sorted(all_ids(tmp_path)) == sorted([f"id-{n}" for n in range(5)] * 6)


async def test_an_old_file_is_rotated(tmp_path):
    destination = opened(tmp_path, rotate_seconds=60.0)
    await destination.deliver(batch(1))
    await destination.close()
    hour_ago = (tmp_path / "events.jsonl").stat().st_mtime - 3600
    os.utime(tmp_path / "events.jsonl", (hour_ago, hour_ago))
    destination = opened(tmp_path, rotate_seconds=60.0)
    await destination.deliver(batch(1))
    await destination.close()
    assert len(list(tmp_path.iterdir())) == 2


async def test_of_the_rotated_files_the_newest_are_kept(tmp_path):
    destination = opened(tmp_path, rotate_bytes=100, keep=2)
    for number in range(6):
        await destination.deliver(batch(1, f"b{number}"))
    await destination.close()
    files = [path for path in tmp_path.iterdir() if path.name != "events.jsonl"]
    assert len(files) == 2
    kept = {one["BatchID"] for path in files for one in lines(path)}
    assert kept == {"b3", "b4"}


async def test_a_torn_line_is_cut_off_when_the_file_is_opened_again(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"ID":"whole"}\n{"ID":"to' + b"x" * 100_000)
    destination = opened(tmp_path)
    await destination.deliver(batch(1))
    await destination.close()
    assert [one["ID"] for one in lines(path)] == ["whole", "id-0"]


async def test_a_file_that_another_program_moved_is_begun_anew(tmp_path):
    destination = opened(tmp_path)
    await destination.deliver(batch(1, "b1"))
    (tmp_path / "events.jsonl").rename(tmp_path / "moved")
    await destination.deliver(batch(1, "b2"))
    await destination.close()
    assert [one["BatchID"] for one in lines(tmp_path / "events.jsonl")] == ["b2"]


async def test_a_disk_that_refuses_leaves_no_half_batch(tmp_path):
    destination = opened(tmp_path)
    await destination.deliver(batch(1, "b1"))
    before = (tmp_path / "events.jsonl").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 1000, hard))
    try:
        with pytest.raises(DestinationUnavailable, match=r"cannot write .*events\.jsonl"):
            await destination.deliver(batch(20, "b2"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "events.jsonl").read_bytes() == before
    await destination.deliver(batch(20, "b2"))
    await destination.close()
    assert len(lines(tmp_path / "events.jsonl")) == 21


async def test_a_folder_that_is_missing_is_told(tmp_path):
    settings = FileSettings(name="a", kind="file", path="nowhere/events")
    with pytest.raises(DestinationUnavailable, match="nowhere"):
        await FileDestination(settings, tmp_path).check()


async def test_a_cancelled_delivery_does_not_mix_with_the_next(tmp_path):
    destination = opened(tmp_path, form="cef")
    task = asyncio.create_task(destination.deliver(batch(2000, "b1")))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    await destination.deliver(batch(1, "b2"))
    await destination.close()
    found = (tmp_path / "events.jsonl").read_text().splitlines()
    assert all(line.startswith("CEF:0|Kaspersky|KATA|") for line in found)
    assert len(found) in (1, 2001)
