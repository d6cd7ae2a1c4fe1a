from __future__ import annotations

import httpx
from prometheus_client import Counter

from deodar.kit.metrics import CollectorRegistry, metrics_app
from deodar.kit.serve import Endpoint


async def test_the_present_values_are_shown(start):
    registry = CollectorRegistry()
    events = Counter("events", "Events taken.", ["kind"], registry=registry)
    (bound,), _, _ = await start([Endpoint(metrics_app(registry))])
    async with httpx.AsyncClient() as client:
        events.labels("process").inc(3)
        answer = await client.get(bound.url + "/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert 'events_total{kind="process"} 3.0' in answer.text
        events.labels("process").inc()
        assert 'events_total{kind="process"} 4.0' in (await client.get(bound.url)).text
        assert (await client.post(bound.url)).status_code == 405
        assert (await client.head(bound.url)).status_code == 200


async def test_two_programs_in_one_process_do_not_share_values():
    one, other = CollectorRegistry(), CollectorRegistry()
    Counter("events", "Events taken.", registry=one)
    Counter("events", "Events taken.", registry=other)
