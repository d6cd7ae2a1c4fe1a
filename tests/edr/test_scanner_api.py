from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("method", "tail", "status"),
    [
        ("GET", "detects", 200),
        ("POST", "detects", 405),
        ("GET", "scans/filters", 200),
        ("GET", "scans", 405),
        ("POST", "scans/state", 405),
        ("GET", "scans/some-id", 405),
        ("DELETE", "scans/some-id", 404),
        ("GET", "scans/a/b", 404),
        ("GET", "odd", 404),
        ("GET", "", 404),
    ],
)
async def test_ways_through_the_api(server, method, tail, status):
    system = await server.system().accepted()
    url = f"/kata/scanner/v1/sensors/siem-1/{tail}"
    assert (await system.client.request(method, url)).status_code == status
