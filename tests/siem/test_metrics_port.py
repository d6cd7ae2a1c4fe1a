from __future__ import annotations

import asyncio

import httpx
from prometheus_client import CollectorRegistry, Counter

from deodar.kit.serve import serve
from deodar.siem.metrics_port import metrics_endpoints


def registry():
    made = CollectorRegistry()
    Counter("deodar_test", "A count", registry=made).inc(3)
    return made


async def test_metrics_are_on_the_port_and_nothing_else_is(unused_tcp_port):
    endpoints = metrics_endpoints(registry, "127.0.0.1", unused_tcp_port)
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(serve(endpoints, stop=stop, on_ready=lambda _bound: ready.set()))
    await asyncio.wait_for(ready.wait(), 20)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{unused_tcp_port}") as client:
        assert "deodar_test_total 3.0" in (await client.get("/metrics")).text
        assert (await client.get("/")).status_code == 404
        assert (await client.post("/metrics")).status_code == 405
        assert (await client.post("/reset-token")).status_code == 404
    stop.set()
    await asyncio.wait_for(task, 20)


def test_without_a_port_there_is_no_listener():
    assert metrics_endpoints(registry, "127.0.0.1", 0) == []
