from __future__ import annotations

import asyncio

import pytest

from deodar.edr.alerts import Alerts
from deodar.edr.scanning.scans import NewScan
from deodar.edr.scanning.service import FOLDER, Scanning
from deodar.edr.settings import Scanning as Settings

EVIL = 'rule evil { strings: $a = "EVIL" condition: $a }'


@pytest.fixture
def scanning(database, tmp_path) -> Scanning:
    return Scanning(database, tmp_path, Alerts(database), Settings(time_limit=2))


def submit(scanning: Scanning, scan_id: str, content: bytes) -> int:
    path = scanning.folder / f"new-{scan_id}"
    path.write_bytes(content)
    return scanning.submit(NewScan("siem", "", scan_id, "f", len(content), "0" * 64), path)


async def result(scanning: Scanning, number: int) -> tuple[str, str]:
    for _ in range(400):
        found = scanning.scans.find(number)
        if found is None or found.state != "processing":
            return (found.state, found.reason) if found else ("gone", "")
        await asyncio.sleep(0.05)
    raise AssertionError("it is still processed")


async def test_rules_that_change_hold_for_the_next_file(scanning):
    async with scanning.running():
        first = submit(scanning, "a", b"EVIL")
        scanning.begin(first)
        assert await result(scanning, first) == ("error", "there are no YARA rules")
        await asyncio.to_thread(scanning.rules.add, "mine", EVIL)
        second = submit(scanning, "b", b"EVIL")
        scanning.begin(second)
        assert await result(scanning, second) == ("detect", "")
        await asyncio.to_thread(scanning.rules.add, "mine", EVIL.replace("EVIL", "OTHER"))
        third = submit(scanning, "c", b"EVIL")
        scanning.begin(third)
        assert await result(scanning, third) == ("not detected", "")
    assert list(scanning.folder.iterdir()) == []


async def test_a_file_that_goes_while_the_room_is_counted_counts_nothing(scanning):
    (scanning.folder / "one").write_bytes(b"x" * 10)
    (scanning.folder / "gone").symlink_to("nowhere")  # as one that is deleted in between
    assert scanning.room() == scanning.settings.waiting_bytes - 10


async def test_what_waits_at_a_stop_is_scanned_after_the_next_start(scanning, database, tmp_path):
    await asyncio.to_thread(scanning.rules.add, "mine", EVIL)
    number = submit(scanning, "a", b"EVIL")
    (tmp_path / FOLDER / "new-half").write_bytes(b"nobody asks for it")
    again = Scanning(database, tmp_path, Alerts(database), Settings())
    async with again.running():
        assert await result(again, number) == ("detect", "")
    assert list(again.folder.iterdir()) == []


async def test_a_scan_that_a_stop_breaks_off_is_done_after_the_next_start(
    scanning, database, tmp_path
):
    slow = "rule slow { condition: for all i in (0..100000000000) : (uint8(i % 9) != 256) }"
    await asyncio.to_thread(scanning.rules.add, "mine", slow)
    began = asyncio.get_running_loop().time()
    async with scanning.running():
        number = submit(scanning, "a", b"EVIL")
        scanning.begin(number)
        for _ in range(200):
            if scanning.starts:
                break
            await asyncio.sleep(0.02)
    assert asyncio.get_running_loop().time() - began < 30
    found = scanning.scans.find(number)
    assert found is not None
    if found.state == "processing":  # or the time limit was quicker than the stop
        await asyncio.to_thread(scanning.rules.add, "mine", EVIL)
        again = Scanning(database, tmp_path, Alerts(database), Settings())
        async with again.running():
            assert await result(again, number) == ("detect", "")


async def test_a_request_that_was_deleted_meanwhile_makes_no_alert(scanning, database):
    await asyncio.to_thread(scanning.rules.add, "mine", EVIL)
    number = submit(scanning, "a", b"EVIL")
    scanning.scans.remove("siem", None, "a")
    async with scanning.running():
        scanning.begin(number)
        last = submit(scanning, "b", b"good")
        scanning.begin(last)
        await result(scanning, last)
    assert Alerts(database).last() == 0
    assert list(scanning.folder.iterdir()) == []
