"""From a sender to the store by each kind of connector, with collectors killed on the way."""

from __future__ import annotations

import asyncio
import json
import socket
import uuid
from pathlib import Path

import httpx
import pytest
from tests.siem.batches import batch
from tests.siem.collector.test_service import report, stored, until
from tests.siem.conftest import collector_process, core, free_port  # noqa: F401 - fixtures

from deodar.kit.directory import StateDirectory
from deodar.siem import setup
from deodar.siem.destinations.http import HttpDestination, HttpSettings


def collector(core, kind, normalizer="", **settings) -> StateDirectory:  # noqa: F811
    name = f"{kind}-{uuid.uuid4().hex[:8]}".replace("/", "-")
    made = setup.add_collector_of(core.home, name, {"kind": kind, **settings}, normalizer)
    return StateDirectory(Path(made.folder))


def events(core, home, fields):  # noqa: F811
    return core.search(
        f"select {fields} from events where ServiceName = '{home.path.name}'", limit=100_000
    )


async def test_syslog_over_tcp_is_stored_with_its_source(core, collector_process):  # noqa: F811
    port = free_port()
    home = collector(core, "tcp", port=port)
    await asyncio.to_thread(collector_process, home)
    await until(lambda: report(home).status.colour == "green")
    with socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(b"".join(b"<13>line %d\n" % n for n in range(1000)))
        await until(lambda: stored(core, home)["n"] == 1000)
    rows = events(core, home, "Message, DeviceAddress, Timestamp, DeviceReceiptTime")
    assert {row["Message"] for row in rows} == {f"<13>line {n}" for n in range(1000)}
    assert {row["DeviceAddress"] for row in rows} == {"127.0.0.1"}
    assert all(row["Timestamp"] == row["DeviceReceiptTime"] > 0 for row in rows)
    assert report(home).connector_counts["connections"] == 1


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_files_read_by_a_collector_that_is_killed_are_stored_once(
    core,  # noqa: F811
    collector_process,  # noqa: F811
    tmp_path,
):
    lines = 30_000
    folder = tmp_path / "logs"  # the collectors' own logs are beside it
    folder.mkdir()
    home = collector(core, "file", paths=[f"{folder}/*.log"], look_seconds=0.1)
    written = 0
    with (folder / "app.log").open("w") as file:
        for _ in range(3):
            child = await asyncio.to_thread(collector_process, home)
            for number in range(written, written + lines // 3):
                file.write(f"line {number}\n")
            written += lines // 3
            file.flush()
            before = stored(core, home)["n"]
            await until(lambda before=before: stored(core, home)["n"] > before)
            await asyncio.to_thread(child.kill)
    await asyncio.to_thread(collector_process, home)
    await until(lambda: stored(core, home)["n"] >= lines, limit=60)
    await until(lambda: report(home).waiting == 0)
    assert stored(core, home) == {"n": lines, "ids": lines}
    messages = {row["Message"] for row in events(core, home, "Message")}
    assert len(messages) == lines


async def test_one_collectors_http_destination_is_anothers_connector(
    core,  # noqa: F811
    collector_process,  # noqa: F811
    tmp_path,
):
    port = free_port()
    home = collector(core, "http", "deodar-json", port=port)
    child = await asyncio.to_thread(collector_process, home)
    url = f"http://127.0.0.1:{port}/events"
    destination = HttpDestination(HttpSettings(name="x", kind="http", urls=[url]), tmp_path)
    await destination.deliver(batch(20, "b1"))
    await asyncio.to_thread(child.kill)
    await asyncio.to_thread(collector_process, home)
    await destination.close()
    again = HttpDestination(HttpSettings(name="x", kind="http", urls=[url]), tmp_path)
    await again.deliver(batch(20, "b1"))  # the receipt was lost with the sender's memory
    await again.deliver(batch(5, "b2", Name="other"))
    await again.close()
    await until(lambda: stored(core, home)["n"] >= 25)
    assert stored(core, home)["n"] == 25
    rows = events(core, home, "ID, Name, DestinationPort, TenantID, Extra")
    assert {row["ID"] for row in rows} == {f"id-{n}" for n in range(20)}
    tenant = json.loads(json.dumps(rows[0]))["TenantID"]
    assert uuid.UUID(tenant)
    assert report(home).connector_counts["repeats"] == 1


@pytest.mark.timeout(240)
async def test_with_a_full_journal_posts_are_turned_away_until_the_core_is_back(
    core,  # noqa: F811
    collector_process,  # noqa: F811
):
    port = free_port()
    home = collector(core, "http", "raw", port=port, max_body_bytes=8 << 20)
    path = home.path / "collector.toml"
    text = path.read_text().replace(f"journal_bytes = {4 << 30}", f"journal_bytes = {64 << 20}")
    dead = text.replace(core.url, f"https://127.0.0.1:{free_port()}")
    path.write_text(dead)
    child = await asyncio.to_thread(collector_process, home)
    body = b"\n".join(b"%016000x" % n for n in range(450))
    accepted, status = 0, 200
    async with httpx.AsyncClient(timeout=60) as client:
        url = f"http://127.0.0.1:{port}/events"
        while status == 200:
            answer = await client.post(url, content=body)
            status = answer.status_code
            accepted += answer.json()["accepted"] if status == 200 else 0
        assert status in (429, 503)
        assert float(answer.headers["retry-after"]) > 0
        assert "journal" in (await client.get(f"http://127.0.0.1:{port}/health")).text
    await asyncio.to_thread(child.stop)
    path.write_text(text)
    await asyncio.to_thread(collector_process, home)
    # What was answered with 503 may have been kept all the same; what was accepted must be there.
    await until(lambda: stored(core, home)["n"] >= accepted, limit=150)
