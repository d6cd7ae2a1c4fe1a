from __future__ import annotations


async def test_every_api_is_there_and_asks_who_comes(server):
    client = server.client(None)
    for method, url in (
        ("GET", "/agent/v1/tasking"),
        ("POST", "/agent/v1/reputation"),
        ("GET", "/kata/response_api/v1/x/sensors"),
        ("GET", "/kata/scanner/v1/sensors/x/detects"),
    ):
        assert (await client.request(method, url)).status_code == 401
