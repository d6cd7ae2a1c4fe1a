from __future__ import annotations

import asyncio
import socket
import struct

import httpx
import pytest

from deodar.kit.http import Limits
from deodar.kit.serve import Endpoint


async def echo(scope, receive, send):
    """Answer with the path's length and the body's."""
    if scope["type"] != "http":
        return
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    body = f"{len(scope['path'])} {size}".encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def connect(start):
    """Connect to a server with these limits: returns (reader, writer)."""
    writers = []

    async def begin(app=echo, **limits):
        (bound,), _, _ = await start([Endpoint(app, limits=Limits(**limits))])
        reader, writer = await asyncio.open_connection(bound.host, bound.port)
        writers.append(writer)
        return reader, writer

    yield begin
    for writer in writers:
        writer.close()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""


async def _answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return the status line and the body of one answer."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return head.split(b"\r\n")[0], await asyncio.wait_for(reader.readexactly(length), 10)


async def test_a_client_that_says_nothing_is_cut_off(connect):
    reader, _ = await connect(headers=0.2)
    assert await _rest(reader) == b""


async def test_headers_that_drip_in_are_cut_off(connect):
    reader, writer = await connect(headers=0.4)
    writer.write(b"GET / HTTP/1.1\r\n")

    async def drip():
        for n in range(1_000):
            writer.write(b"x-%d: y\r\n" % n)
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    begin = asyncio.get_running_loop().time()
    answer = await _rest(reader)
    assert asyncio.get_running_loop().time() - begin < 5
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not come in time" in answer
    dripping.cancel()


async def test_line_ends_alone_do_not_keep_a_connection(connect):
    reader, writer = await connect(headers=0.3, keep_alive=1)
    writer.write(b"GET /abc HTTP/1.1\r\nHost: x\r\n\r\n")
    await _answer(reader)
    writer.write(b"\r\n")  # which ends uvicorn's own timer for idle connections
    assert (await _rest(reader)).startswith(b"HTTP/1.1 408 ")


async def test_line_ends_do_not_end_an_answer_that_takes_long(connect):
    """Some clients send one behind a body, against the standard."""

    async def late(scope, receive, send):
        if scope["type"] == "http":
            await asyncio.sleep(0.8)
            await echo(scope, receive, send)

    reader, writer = await connect(late, headers=0.2)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
    await asyncio.sleep(0.1)
    writer.write(b"\r\n")
    assert (await _answer(reader))[1] == b"1 2"


async def test_the_second_requests_headers_have_their_own_time(connect):
    reader, writer = await connect(headers=0.3, keep_alive=20)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await _answer(reader)
    await asyncio.sleep(0.5)  # idle between requests is not reading headers
    writer.write(b"GET /abc HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await _answer(reader))[1] == b"4 0"
    writer.write(b"GET / HT")
    assert (await _rest(reader)).startswith(b"HTTP/1.1 408 ")


async def test_an_idle_connection_is_closed_after_the_keep_alive_time(connect):
    reader, writer = await connect(keep_alive=1)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await _answer(reader)
    assert await _rest(reader) == b""


async def test_a_slow_body_is_not_the_headers_business(connect):
    reader, writer = await connect(headers=0.2)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
    for _ in range(10):
        await asyncio.sleep(0.05)
        writer.write(b"x")
    assert (await _answer(reader))[1] == b"1 10"


@pytest.mark.parametrize("part", ["url", "one header", "many headers"])
async def test_large_headers_are_refused(connect, part):
    reader, writer = await connect(header_bytes=2_000)
    url = b"/" + b"a" * 3_000 if part == "url" else b"/"
    lines = {"url": [], "one header": [b"x: " + b"y" * 3_000]}
    many = [b"header-%d: value" % n for n in range(200)]
    head = [b"GET " + url + b" HTTP/1.1", b"Host: x", *lines.get(part, many)]
    writer.write(b"\r\n".join(head) + b"\r\n\r\n")
    assert (await _answer(reader))[0].startswith(b"HTTP/1.1 431 ")
    assert await _rest(reader) == b""


async def test_headers_without_end_are_refused_while_they_come(connect):
    reader, writer = await connect(header_bytes=2_000)
    writer.write(b"GET / HTTP/1.1\r\nx: ")
    sent = 0
    while not reader.at_eof() and sent < 50_000_000:
        writer.write(b"y" * 10_000)
        sent += 10_000
        try:
            await asyncio.wait_for(writer.drain(), 5)
            await asyncio.sleep(0)
        except ConnectionError:
            break
    assert sent < 50_000_000
    await _rest(reader)


async def test_headers_up_to_the_limit_are_taken(connect):
    reader, writer = await connect(header_bytes=60_000)
    writer.write(b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await _answer(reader) == (b"HTTP/1.1 200 OK", b"50001 0")


async def test_a_large_body_does_not_count_as_headers(connect):
    reader, writer = await connect(header_bytes=2_000)
    post = b"POST /abc HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000
    writer.write(post + post + b"GET / HTTP/1.1\r\nHo")
    assert (await _answer(reader))[1] == b"4 300000"
    assert (await _answer(reader))[1] == b"4 300000"
    writer.write(b"st: x\r\n\r\n")
    assert (await _answer(reader))[1] == b"1 0"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_what_is_no_http_gets_400(connect, request_bytes):
    reader, writer = await connect()
    writer.write(request_bytes)
    answer = await _rest(reader)
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
async def test_an_offer_to_upgrade_is_passed_over(connect, upgrade):
    """curl --http2 makes such an offer on plain HTTP."""
    reader, writer = await connect()
    head = b"Host: x\r\nConnection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n"
    for _ in range(2):
        writer.write(b"GET /abc HTTP/1.1\r\n" + head + b"\r\n")
        assert (await _answer(reader))[1] == b"4 0"
    # A body behind such an offer would be taken for the other protocol, and be lost.
    writer.write(b"POST /abc HTTP/1.1\r\n" + head + b"Content-Length: 3\r\n\r\nxyz")
    assert (await _answer(reader))[0].startswith(b"HTTP/1.1 400 ")


async def test_a_refused_body_may_not_go_on_for_ever(connect):
    async def refuse(scope, receive, send):
        if scope["type"] == "http":
            headers = [(b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 413, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

    reader, writer = await connect(refuse, headers=0.4)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert (await _answer(reader))[0].startswith(b"HTTP/1.1 413 ")

    async def pour():
        for _ in range(1_000):
            writer.write(b"1\r\nx\r\n")
            await asyncio.sleep(0.02)

    pouring = asyncio.create_task(pour())
    assert await _rest(reader) == b""
    assert not pouring.done()
    pouring.cancel()


async def test_a_refused_body_that_ends_leaves_the_connection_usable(connect):
    async def refuse(scope, receive, send):
        if scope["type"] == "http":
            status = 413 if scope["path"] == "/refuse" else 200
            headers = [(b"content-length", b"0")]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

    reader, writer = await connect(refuse, headers=0.4)
    writer.write(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n")
    assert (await _answer(reader))[0].startswith(b"HTTP/1.1 413 ")
    writer.write(b"x" * 300_000)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await _answer(reader))[0] == b"HTTP/1.1 200 OK"


async def test_more_connections_than_allowed_get_503(start):
    (bound,), _, _ = await start([Endpoint(echo, limits=Limits(connections=3))])
    open_ones = [await asyncio.open_connection(bound.host, bound.port) for _ in range(3)]
    async with httpx.AsyncClient() as client:
        assert (await client.get(bound.url)).status_code == 503
    for _, writer in open_ones:
        writer.close()
        await writer.wait_closed()
    async with httpx.AsyncClient() as client:
        for _ in range(100):
            if (status := (await client.get(bound.url)).status_code) == 200:
                break
            await asyncio.sleep(0.05)
    assert status == 200


class _Large:
    """Answers with 40 MB; knows whether all of it was handed over, and when it was cut off."""

    def __init__(self) -> None:
        self.handed_over = asyncio.Event()

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(40_000_000)})
        self.handed_over.set()


def _request_and_stop_reading(host: str, port: int) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    client.connect((host, port))
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return client


async def test_a_client_that_does_not_read_is_not_sent_far_ahead_and_is_cut_off(start):
    app = _Large()
    (bound,), _, _ = await start([Endpoint(app, limits=Limits(stalled=0.5))])
    client = _request_and_stop_reading(bound.host, bound.port)
    await asyncio.sleep(0.3)
    assert not app.handed_over.is_set()
    # uvicorn lets the application go on, into nothing, once the client is cut off.
    await asyncio.wait_for(app.handed_over.wait(), 10)
    client.settimeout(10)
    received = await asyncio.to_thread(_receive_all, client)
    assert 0 < received < 40_000_000
    client.close()


def _receive_all(client: socket.socket) -> int:
    received = 0
    try:
        while data := client.recv(1_000_000):
            received += len(data)
    except ConnectionError:
        pass
    return received


async def test_a_client_that_reads_slowly_gets_everything(start):
    (bound,), _, _ = await start([Endpoint(_Large(), limits=Limits(stalled=0.5, keep_alive=1))])
    client = _request_and_stop_reading(bound.host, bound.port)
    client.settimeout(10)

    def read_slowly() -> int:
        import time

        received = 0
        while received < 40_000_000:
            received += len(client.recv(1_000_000))
            time.sleep(0.001)
        return received

    assert await asyncio.to_thread(read_slowly) >= 40_000_000
    client.close()


async def test_a_client_that_vanishes_is_told_to_the_application(start):
    told = asyncio.Event()

    async def watching(scope, receive, send):
        if scope["type"] != "http":
            return
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    (bound,), _, _ = await start([Endpoint(watching)])
    client = socket.create_connection((bound.host, bound.port))
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(0.1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    await asyncio.wait_for(told.wait(), 5)
