"""Ingest: packets from agents over mutual TLS, acknowledged once they are durable.

Against the store's own insert of the same rows, ready as Arrow and with the same durability, in the
same run. The rate includes the clients' share of the two cores.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import zstandard

from bench.report import Line, cpu_seconds
from bench.stand import chunks, give, rate, stack
from deodar.agent.settings import AgentSettings
from deodar.demo.stack import deodar
from deodar.edr.ingest import Origin, decode
from deodar.edr.log import schema
from deodar.edr.log.packet import block
from deodar.kit.settings import load
from deodar.store.engine import open_engine
from deodar.tls.certificates import load_pair
from deodar.tls.contexts import pinned_client

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.demo.stack import Stack

EVENTS = 200_000
PACKET = 5_000
SENDERS = 4
GROUP = 10_000 // PACKET


def main() -> None:
    """Measure and print."""
    with stack() as parts:
        url = parts.start_edr()["url"]
        packets = [zstandard.compress(piece, 1) for piece in chunks(EVENTS, PACKET)]
        server = parts.children["edr"]
        used = cpu_seconds(server.pid)
        ingested = send(parts, url, packets)
        used = cpu_seconds(server.pid) - used
        parts.close()
        inserted = insert(parts.folder / "peer", packets)
    give(
        Line(
            "ingest to store, two cores",
            ingested,
            "events/s",
            ingested / inserted,
            f"the engine's own insert ({inserted:,.0f}/s)",
        ),
        Line("ingest, of the server's processor time", EVENTS / used, "events/s per core"),
    )


def send(parts: Stack, url: str, packets: list[bytes]) -> float:
    """Send the packets as several agents at once; returns events per second."""
    clients = [_client(parts, url, number) for number in range(SENDERS)]

    def work(sender: int) -> None:
        for number in range(sender, len(packets), SENDERS):
            headers = {"Deodar-Spool": f"bench-{sender}", "Deodar-Packet": str(number + 1)}
            answer = clients[sender].post(
                "/agent/v1/packets", content=packets[number], headers=headers
            )
            answer.raise_for_status()

    began = time.monotonic()
    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(work, range(SENDERS)))
    return rate(len(packets) * PACKET, began)


def _client(parts: Stack, url: str, number: int) -> httpx.Client:
    """Enrol one more agent and return a client with its certificate."""
    folder = parts.folder / f"agent-{number}"
    token = deodar("edr", "enroll", "--dir", parts.edr).split()[-1]
    deodar("agent", "enroll", token, "--dir", folder)
    settings = load(folder / "agent.toml", AgentSettings)
    pair = load_pair((folder / "agent.crt").read_bytes() + (folder / "agent.key").read_bytes())
    return httpx.Client(
        base_url=url,
        verify=pinned_client(settings.server.pins, pair),
        timeout=60,
        headers={"Content-Encoding": "zstd", "Content-Type": "application/x-ndjson"},
    )


def insert(folder: Path, packets: list[bytes]) -> float:
    """Insert the same rows straight into the engine; returns events per second."""
    decoded = [
        decode(Origin("bench", number), zstandard.decompress(packet), PACKET)[0]
        for number, packet in enumerate(packets)
    ]
    groups = [decoded[at : at + GROUP] for at in range(0, len(decoded), GROUP)]
    blocks = [block(group, 1, time.time_ns() // 1000) for group in groups]
    engine = open_engine(f"chdb://{folder}")
    schema.prepare(engine)
    began = time.monotonic()
    for rows in blocks:
        engine.insert(schema.TABLE, rows)
    result = rate(sum(rows.num_rows for rows in blocks), began)
    engine.close()
    return result


if __name__ == "__main__":
    main()
