from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request

from deodar.edr import web


def request(client=("1.2.3.4", 5), messages=()) -> Request:
    waiting = asyncio.Queue()
    for message in messages:
        waiting.put_nowait(message)
    return Request({"type": "http", "client": client, "headers": []}, waiting.get)


@pytest.mark.parametrize(
    ("peer", "shown"),
    [("10.0.0.1", "10.0.0.1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("FE80::1", "fe80::1"), ("", "")],
)
async def test_one_host_has_one_address(peer, shown):
    assert web.address(request((peer, 1))) == shown


async def test_no_peer_has_no_address():
    assert web.address(request(None)) == ""


async def test_work_is_done_for_a_client_that_stays():
    async def work() -> str:
        return "done"

    assert await web.unless_gone(request(messages=[{"type": "http.request"}]), work()) == "done"


async def test_work_is_stopped_for_a_client_that_goes():
    stopped = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    messages = [{"type": "http.request"}, {"type": "http.disconnect"}]
    assert await web.unless_gone(request(messages=messages), work()) is None
    assert stopped.is_set()


async def test_an_error_of_the_work_goes_through():
    async def work() -> None:
        raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        await web.unless_gone(request(), work())


def test_refusals_are_json_with_an_error():
    refused = web.refusal(503, "later", 7)
    assert (refused.status_code, refused.body) == (503, b'{"error":"later"}')
    assert refused.headers["retry-after"] == "7"
    assert refused.headers["content-type"] == "application/json"
