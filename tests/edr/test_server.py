from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time

import httpx
import msgspec
import pytest

from deodar.edr import installation as installations
from deodar.edr import server as servers
from deodar.events.builders import EventBuilder
from deodar.kit.errors import StateError
from deodar.tls import contexts

from .conftest import deodar, enrolled, running


async def test_an_occupied_folder_is_refused(server, engine):
    with pytest.raises(StateError, match="in use"):
        await servers.run(server.installation, print, asyncio.Event(), engine)


async def test_the_address_is_there_while_it_runs(installation, engine):
    async with running(installation, engine) as server:
        assert installation.url == server.url
        assert not server.url.endswith(":0")
    assert installation.url.endswith(":0")
    assert not installation.directory.socket.exists()


async def test_what_is_not_there_is_told_in_json(server):
    client = server.client(None)
    for path in ("/", "/kata/events_api/v1/x", "/agent/v1/other", "/status", "/import"):
        answer = await client.get(path)
        assert answer.status_code == 404
        assert answer.json() == {"error": "Not Found"}


async def test_metrics_can_have_a_port_of_their_own(installation, engine):
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = msgspec.structs.replace(installation.settings, metrics_port=port)
    changed = installations.Installation(
        installation.directory,
        settings,
        installation.authority,
        installation.server,
        installation.token_key,
        installation.server_id,
    )
    async with running(changed, engine), httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    assert "deodar_edr_last_seq" in text


def test_the_process_says_when_it_is_ready_and_stops_cleanly(process):
    url = process.start()
    told = json.loads(deodar("status", "--dir", process.installation.directory.path, "--json"))
    assert told["url"] == url
    assert process.child.stop() == 0
    assert not process.installation.directory.socket.exists()


def send(client: httpx.Client, number: int, body: bytes) -> bool:
    headers = {"Deodar-Spool": "spool", "Deodar-Packet": str(number)}
    try:
        return client.post("/agent/v1/packets", content=body, headers=headers).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.slow
def test_after_sigkill_every_event_is_there_once(process, tmp_path):
    """Packets are repeated until acknowledged, while the server is killed again and again."""
    installation = process.installation
    url = process.start()
    folder = installation.directory.path
    token = json.loads(deodar("enroll", "--dir", folder, "--json"))["token"]
    pair = enrolled(installation, token, url)
    context = contexts.pinned_client([installation.pin], pair)
    packets = [EventBuilder(n).ndjson(300) for n in range(1, 21)]
    kills = {5: 0.02, 14: 0.08}
    client = httpx.Client(base_url=url, verify=context, timeout=20)
    number = 1
    while number <= len(packets):
        if number in kills:
            pause = kills.pop(number)
            client = killed_while_sending(process, client, number, packets, pause, context)
        if send(client, number, packets[number - 1]):
            number += 1
        else:
            time.sleep(0.05)
    client.close()
    expected = [json.loads(line)["Id"] for body in packets for line in body.splitlines()]
    assert stored_ids(process, tmp_path) == sorted(expected)


def killed_while_sending(process, client, number, packets, pause, context) -> httpx.Client:
    import threading

    sending = threading.Thread(target=send, args=(client, number, packets[number - 1]))
    sending.start()
    time.sleep(pause)
    process.child.kill()
    sending.join(30)
    client.close()
    return httpx.Client(base_url=process.start(), verify=context, timeout=20)


def stored_ids(process, tmp_path) -> list[str]:
    """Read the whole log in another process, after the server's end."""
    process.child.stop()
    store = process.installation.directory.path / "store"
    script = (
        "import sys, json\n"
        "from deodar.store.engine import open_engine\n"
        "engine = open_engine('chdb://' + sys.argv[1])\n"
        "rows = engine.query('SELECT seq, raw FROM edr_events ORDER BY seq')\n"
        "assert rows['seq'].to_pylist() == list(range(1, rows.num_rows + 1))\n"
        "print(json.dumps(sorted(json.loads(raw)['Id'] for raw in rows['raw'].to_pylist())))\n"
        "engine.close()\n"
    )
    command = [sys.executable, "-c", script, str(store)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True, cwd=tmp_path)
    return list(json.loads(done.stdout))
