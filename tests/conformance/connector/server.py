"""An EDR server in a thread of its own that misbehaves as a test says, over real TLS.

It asks for the client's certificate, takes any, and keeps what was asked with its SHA-256.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from deodar.tls.certificates import Pair, fingerprint, self_signed
from deodar.tls.contexts import any_client

_AT_ONCE = 65_536
EVENTS = re.compile(r"/kata/events_api/v1/([^/]+)/events")


def named(name: str = "edr") -> Pair:
    return self_signed(name, names=["127.0.0.1", "::1", "localhost"])


@dataclass(frozen=True)
class Asked:
    """One request, and when it came on the monotonic clock."""

    number: int
    when: float
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    certificate: str

    @property
    def token(self) -> str | None:
        return self.query.get("continuation_token")

    @property
    def external_id(self) -> str:
        found = EVENTS.fullmatch(self.path)
        assert found is not None, self.path
        return found[1]


@dataclass(frozen=True)
class Reply:
    """An answer: `delay` in seconds before it, `cut_after` bytes of the body the line is cut."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut_after: int | None = None
    pieces: int = 1
    pause: float = 0.0


def page(token: str, events: list[dict] | bytes = b"[]", **rest) -> Reply:
    listed = events if isinstance(events, bytes) else json.dumps(events).encode()
    body = b'{"events":%s,"continuationToken":%s}' % (listed, json.dumps(token).encode())
    return Reply(body=body, **rest)


def refusal(status: int, text: str, **headers: str) -> Reply:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps({"error": text}).encode(), told)


Script = Callable[[Asked], Reply]


def quiet(asked: Asked) -> Reply:
    """Nothing new; the token stays."""
    return page(asked.token or "t0", delay=0.05)


def in_turn(*replies: Reply, then: Script = quiet) -> Script:
    """Answer with these in turn, then as `then` does."""
    return lambda asked: replies[asked.number] if asked.number < len(replies) else then(asked)


class TroubleServer:
    """`script` answers each request and may be changed at any time; so may `pair`, by `renew`."""

    def __init__(self, script: Script = quiet, host: str = "127.0.0.1") -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.pair = named()
        self._host = host
        self._news = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task] = set()
        self._ready = threading.Event()
        self.port = 0

    def __enter__(self) -> TroubleServer:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)

    @property
    def url(self) -> str:
        return f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"

    @property
    def pin(self) -> str:
        return fingerprint(self.pair.certificate)

    def renew(self) -> str:
        """Show another certificate from the next connection on; cut the present ones."""
        self.pair = named()
        asyncio.run_coroutine_threadsafe(self._again(), self._loop).result(20)
        return self.pin

    def cut(self) -> None:
        """Cut every connection."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(20)

    def until(self, condition: Callable[[], object], limit: float = 60.0) -> None:
        """Wait until `condition` holds; it is looked at with each request."""
        deadline = time.monotonic() + limit
        with self._news:
            while not condition():
                left = deadline - time.monotonic()
                assert left > 0, f"asked: {[(one.token, one.query) for one in self.asked[-5:]]}"
                self._news.wait(left)

    async def reached(self, count: int, limit: float = 60.0) -> None:
        """Wait until so many requests have come."""
        await asyncio.to_thread(self.until, lambda: len(self.asked) >= count, limit)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._cut())
        self._loop.close()

    async def _listen(self) -> None:
        context = any_client(self.pair.certificate, self.pair.key)
        self._server = await asyncio.start_server(
            self._serve, self._host, self.port, ssl=context, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _again(self) -> None:
        self._server.close()
        await self._cut()
        await self._listen()

    async def _cut(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        target = urlsplit(first.split(" ")[1])
        query = {name: values[0] for name, values in parse_qs(target.query).items()}
        headers = dict(line.lower().split(": ", 1) for line in lines)
        shown = writer.get_extra_info("ssl_object").getpeercert(True)
        digest = fingerprint(shown) if shown else ""
        asked = Asked(len(self.asked), time.monotonic(), target.path, query, headers, digest)
        with self._news:
            self.asked.append(asked)
            self._news.notify_all()
        return await self._write(self.script(asked), writer)

    async def _write(self, reply: Reply, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(reply.delay)
        named = {"content-type": "application/json", **reply.headers}
        named["content-length"] = str(len(reply.body))
        head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        writer.write(f"HTTP/1.1 {reply.status} X\r\n{head}\r\n".encode())
        body = memoryview(reply.body)[: reply.cut_after]
        size = max(1, min(_AT_ONCE, -(-len(body) // reply.pieces)))
        for begin in range(0, len(body), size):
            writer.write(body[begin : begin + size])
            await writer.drain()
            if reply.pause:
                await asyncio.sleep(reply.pause)
        await writer.drain()
        return reply.cut_after is None


@contextlib.contextmanager
def http2_by_alpn(folder: Path) -> Iterator[tuple[str, str]]:
    """Give address and pin of a server that ends each handshake without "h2": openssl s_server."""
    pair = named("h2")
    (folder / "h2.pem").write_bytes(pair.pem)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    words = ["openssl", "s_server", "-quiet", "-alpn", "h2", "-cert", str(folder / "h2.pem")]
    process = subprocess.Popen(
        [*words, "-accept", f"127.0.0.1:{port}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _listens(port)
        yield f"127.0.0.1:{port}", fingerprint(pair.certificate)
    finally:
        process.terminate()
        process.wait(20)


def _listens(port: int) -> None:
    deadline = time.monotonic() + 20
    while f"0100007F:{port:04X} 00000000:0000 0A" not in Path("/proc/net/tcp").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def http2_by_frame(folder: Path) -> Iterator[tuple[str, str]]:
    """Give address and pin of a server that begins with an HTTP/2 frame, whatever comes."""
    pair = named("h2")
    (folder / "h2.pem").write_bytes(pair.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "h2.pem")
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()
    thread = threading.Thread(target=_settings_frames, args=(listener, context, stop))
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", fingerprint(pair.certificate)
    finally:
        stop.set()
        thread.join(20)
        listener.close()


def _settings_frames(
    listener: socket.socket, context: ssl.SSLContext, stop: threading.Event
) -> None:
    listener.settimeout(0.2)
    while not stop.is_set():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
            tls.settimeout(5)
            tls.sendall(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")  # RFC 9113, 6.5
            tls.recv(4096)
