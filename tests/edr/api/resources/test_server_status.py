from __future__ import annotations


async def test_the_status_is_that_of_the_running_server(server, auditor, events):
    await server.put_raw(events.ndjson(3))
    told = (await auditor.get("/status")).json()
    assert told["server_id"] == server.installation.server_id
    assert told["url"] == server.url
    assert (told["last_seq"], told["events"], told["failure"]) == (3, 3, None)
    assert "pid" not in told
