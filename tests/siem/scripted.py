"""A scripted EDR server on real HTTPS: each request is answered as a function says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from deodar.tls.certificates import Pair, fingerprint, self_signed


@dataclass(frozen=True)
class Asked:
    number: int
    path: str
    query: dict[str, str]
    headers: dict[str, str]

    @property
    def token(self) -> str | None:
        return self.query.get("continuation_token")


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut_after: int | None = None  # bytes of the body, then the connection is cut
    drop: bool = False  # no answer at all, the connection is closed


def page(token: str, events: list[dict] | bytes, **rest) -> Reply:
    listed = events if isinstance(events, bytes) else json.dumps(events).encode()
    body = b'{"events":%s,"continuationToken":%s}' % (listed, json.dumps(token).encode())
    return Reply(body=body, **rest)


def refusal(status: int, text: str, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps({"error": text}).encode(), named)


_PAIR: list[Pair] = []


def server_pair() -> Pair:
    if not _PAIR:
        _PAIR.append(self_signed("edr", names=["127.0.0.1", "localhost"]))
    return _PAIR[0]


class ScriptedServer:
    """`script` gets each request and returns (or awaits) its reply; `asked` keeps them all."""

    def __init__(self, script: Callable[[Asked], Reply | Awaitable[Reply]], folder) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self._folder = folder
        self._changed = asyncio.Condition()
        self._connections: set[asyncio.Task] = set()

    async def __aenter__(self) -> ScriptedServer:
        path = self._folder / "scripted-server.pem"
        path.write_bytes(server_pair().pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pin(self) -> str:
        return fingerprint(server_pair().certificate)

    async def until(self, condition: Callable[[], bool], limit: float = 20.0) -> None:
        """Wait until `condition` holds; it is looked at with each request."""
        async with asyncio.timeout(limit), self._changed:
            await self._changed.wait_for(condition)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        target = urlsplit(first.split(" ")[1])
        query = {name: values[0] for name, values in parse_qs(target.query).items()}
        headers = dict(line.lower().split(": ", 1) for line in lines)
        asked = Asked(len(self.asked), target.path, query, headers)
        self.asked.append(asked)
        async with self._changed:
            self._changed.notify_all()
        reply = self.script(asked)
        reply = reply if isinstance(reply, Reply) else await reply
        return await self._write(reply, writer)

    async def _write(self, reply: Reply, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(reply.delay)
        if reply.drop:
            return False
        named = {"content-type": "application/json", **reply.headers}
        named["content-length"] = str(len(reply.body))
        head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        writer.write(f"HTTP/1.1 {reply.status} X\r\n{head}\r\n".encode())
        writer.write(reply.body[: reply.cut_after])
        await writer.drain()
        return reply.cut_after is None
