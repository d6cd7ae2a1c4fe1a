from __future__ import annotations

import asyncio
import gc
import hashlib
import os
from asyncio import sslproto

import httpx

from deodar.kit.serve import Endpoint
from deodar.kit.tls_buffers import share_buffer
from deodar.tls.certificates import self_signed
from deodar.tls.contexts import any_client, unverified_client

CLIENTS = 4
BODY = 300_000


async def digest(scope, receive, send):
    """Answer with the SHA-256 of the body."""
    if scope["type"] != "http":
        return
    found, more = hashlib.sha256(), True
    while more:
        message = await receive()
        found.update(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": found.hexdigest().encode()})


async def test_connections_that_send_at_once_share_a_buffer_and_are_not_mixed_up(start):
    pair = self_signed("server")
    tls = any_client(pair.certificate, pair.key)
    (bound,), _, _ = await start([Endpoint(digest, tls=tls)])
    limits = httpx.Limits(max_connections=CLIENTS)
    async with httpx.AsyncClient(verify=unverified_client(), limits=limits, timeout=20) as client:
        bodies = [os.urandom(BODY) for _ in range(4 * CLIENTS)]
        answers = await asyncio.gather(*(client.post(bound.url, content=one) for one in bodies))
        buffers = [
            one._ssl_buffer_view
            for one in gc.get_objects()
            if isinstance(one, sslproto.SSLProtocol) and one._server_side and one._transport
        ]
    assert [one.text for one in answers] == [hashlib.sha256(one).hexdigest() for one in bodies]
    assert len(buffers) == CLIENTS
    assert len(set(map(id, buffers))) == 1
    assert len(buffers[0]) >= sslproto.SSLProtocol.max_size


def test_a_transport_without_tls_is_left_alone():
    share_buffer(asyncio.BaseTransport(), memoryview(bytearray(1)))
