from __future__ import annotations

import asyncio
import json

import pytest

from deodar.edr.errors import ControlError
from deodar.edr.importer import Chunk
from deodar.edr.ingest import Origin
from deodar.edr.local import LocalServer


async def test_a_running_server_answers(server):
    assert await asyncio.to_thread(server.local.answers)
    told = json.loads(await asyncio.to_thread(server.local.get, "/status"))
    assert told["url"] == server.url


async def test_a_chunk_is_sent_and_its_receipt_returned(server):
    chunk = Chunk(1, b'{"EventType":"process"}\nx\n', 2)
    receipt = await server.local.send(Origin("import/1", 1), chunk)
    assert (receipt.packet, receipt.events, receipt.dead) == (1, 1, 1)


async def test_what_the_server_says_is_told(server):
    with pytest.raises(ControlError, match="refused /nothing"):
        await asyncio.to_thread(server.local.get, "/nothing")
    with pytest.raises(ControlError, match=r"before line 9.*10001 events"):
        await server.local.send(Origin("import/1", 1), Chunk(9, b"{}\n" * 10_001, 10_001))


def test_no_server_is_told(tmp_path):
    absent = LocalServer(tmp_path / "control.sock")
    assert not absent.answers()
    with pytest.raises(ControlError, match=r"control\.sock"):
        absent.get("/status")
