"""``python -m prove.receiver http|syslog PORT FILE``: takes events and notes each one's two ids.

A line ``ID BatchID`` is in the file before the answer is given. HTTP is answered with 200; syslog
over TCP, octet counted, knows no answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_IDS = (re.compile(rb'"ID":"([^"]+)"'), re.compile(rb'"BatchID":"([^"]+)"'))
_LONGEST = 64 << 20


class Book:
    """The file; what is written survives the end of this process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, event: bytes) -> None:
        """Note the events of some lines; raises ValueError for one without its ids."""
        found = [pattern.findall(event) for pattern in _IDS]
        if len(found[0]) != len(found[1]):
            raise ValueError(f"an event lacks ID or BatchID: {event[:200]!r}")
        os.write(self._file, b"".join(b"%s %s\n" % pair for pair in zip(*found, strict=True)))


async def take_http(book: Book, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection."""
    while head := await _head(reader):
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        book.note(await reader.readexactly(int(length[1]) if length else 0))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


async def take_syslog(
    book: Book, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
) -> None:
    """Read the messages of one connection."""
    while True:
        try:
            length = int(await reader.readuntil(b" "))
            book.note(await reader.readexactly(length))
        except asyncio.IncompleteReadError:
            return


TAKERS = {"http": take_http, "syslog": take_syslog}


async def main(kind: str, port: int, file: Path) -> None:
    """Serve until killed."""
    taker = partial(_guarded, partial(TAKERS[kind], Book(file)))
    server = await asyncio.start_server(taker, "127.0.0.1", port, limit=_LONGEST)
    print(json.dumps({"ready": True, "pid": os.getpid()}), flush=True)
    await server.serve_forever()


async def _guarded(
    take: Callable[..., object], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        await take(reader, writer)  # type: ignore[misc]
    except OSError:
        pass  # the collector was killed
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
