from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
from tests.siem.batches import until
from tests.siem.collector.test_lane import Harbour
from tests.siem.test_settings import COLLECTOR

from deodar.columnar.dead_letters import DeadLetterStore
from deodar.kit.directory import StateDirectory
from deodar.kit.errors import SettingsError
from deodar.kit.journal import Journal
from deodar.siem.collector.board import Board
from deodar.siem.collector.lanes import open_lanes

FILE = {"name": "archive", "kind": "file", "path": "events.jsonl"}


class Storage:
    """Stands where the core's client is asked, and counts."""

    def __init__(self, board: Board) -> None:
        self.board = board

    async def deliver(self, prepared) -> None:
        self.board.stored(prepared.rows, prepared.fetched_us)


@pytest.fixture
async def harbour(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        harbour = Harbour(journal, tmp_path / "journal")
        yield harbour
        await harbour.close()


def opened(tmp_path, harbour, board, *tables, **stages):
    settings = msgspec.structs.replace(COLLECTOR, destinations=list(tables), **stages)
    letters = DeadLetterStore(tmp_path / "letters")
    home = StateDirectory(tmp_path)
    return open_lanes(home, settings, harbour.desk, board, letters, Storage(board))


async def test_each_destination_gets_every_event_and_reports_it(tmp_path, harbour):
    board = Board("kedr", 1)
    second = {**FILE, "name": "cef", "path": "events.cef", "form": "cef"}
    picked = {**FILE, "name": "picked", "path": "picked", "filter": "Name = 'nothing'"}
    async with opened(tmp_path, harbour, board, FILE, second, picked) as lanes:
        await harbour.put(5)
        task = asyncio.create_task(lanes.run())
        await until(lambda: all(one.waiting == 0 for one in lanes.reports()))
        task.cancel()
        await asyncio.wait({task})
        reports = {one.name: one for one in lanes.reports()}
    assert list(reports) == ["storage", "archive", "cef", "picked"]
    assert [reports[name].events for name in reports] == [50, 50, 50, 0]
    assert reports["picked"].filtered == 50
    assert len((tmp_path / "events.jsonl").read_bytes().splitlines()) == 50
    assert (tmp_path / "events.cef").read_bytes().count(b"CEF:0|") == 50
    assert harbour.journal.acknowledged == 5


async def test_a_disabled_destination_is_left_out_and_holds_nothing(tmp_path, harbour):
    async with opened(tmp_path, harbour, Board("x", 1), {**FILE, "enabled": False}) as lanes:
        assert [one.name for one in lanes.reports()] == ["storage"]
    assert not (tmp_path / "events.jsonl").exists()


async def test_what_cannot_be_opened_is_told_before_anything_begins(tmp_path, harbour):
    broken = {
        "name": "x", "kind": "http", "urls": ["https://x"], "token_file": "absent",
    }  # fmt: skip
    with pytest.raises(SettingsError, match="absent"):
        async with opened(tmp_path, harbour, Board("x", 1), FILE, broken):
            pass


async def test_windows_of_aggregation_close_while_nothing_comes(tmp_path, harbour):
    board = Board("kedr", 1)
    rule = {"name": "all", "identical": ["DeviceVendor"], "lifetime": 1.0}
    async with opened(tmp_path, harbour, board, FILE, aggregation=[rule]) as lanes:
        await harbour.put(5)
        task = asyncio.create_task(lanes.run())
        await until(lambda: board.counts.stored and lanes.pipeline().windows == 0)
        await until(lambda: all(one.waiting == 0 for one in lanes.reports()))
        task.cancel()
        await asyncio.wait({task})
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines()
    events = [json.loads(line) for line in lines]
    assert sum(event["BaseEventCount"] for event in events) == 50
    assert {event["AggregationRuleName"] for event in events} == {"all"}
    assert board.counts.stored == len(events)


async def test_a_rule_that_cannot_be_opened_is_told(tmp_path, harbour):
    rule = {"name": "where", "kind": "geoip", "file": "absent.mmdb"}
    with pytest.raises(SettingsError, match=r"enrichment rule where: file: .*absent\.mmdb"):
        async with opened(tmp_path, harbour, Board("x", 1), enrichment=[rule]):
            pass
