"""Bodies of requests to the front: what every program takes, and LZ4 and deflate as well.

ClickHouse's clients pack by LZ4 frames unless told otherwise; all unpacking is bounded.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

import lz4.frame  # type: ignore[import-untyped]

from deodar.kit.body import BodyMalformed, BodyTooLarge, read_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterable


async def read(stream: AsyncIterable[bytes], encoding: str | None, limit: int) -> bytes:
    """Return a request's whole body, unpacked, at most `limit` bytes before and after unpacking.

    `encoding` is the Content-Encoding header's value: lz4, zstd, gzip, deflate, identity or None.
    Raises BodyTooLarge, BodyMalformed, BodyTooSlow or UnsupportedEncoding.
    """
    name = (encoding or "").strip().lower()
    if name not in {"lz4", "deflate"}:
        return await read_body(stream, encoding, max_wire=limit, max_plain=limit)
    data = await read_body(stream, None, max_wire=limit, max_plain=limit)
    return await asyncio.to_thread(_lz4 if name == "lz4" else _deflate, data, limit)


def _lz4(data: bytes, limit: int) -> bytes:
    unpacker = lz4.frame.LZ4FrameDecompressor()
    try:
        plain: bytes = unpacker.decompress(data, max_length=limit + 1)
    except (RuntimeError, EOFError) as error:
        raise BodyMalformed(f"the body is not valid lz4: {error}") from error
    _check_length(plain, limit)
    if not unpacker.eof or unpacker.unused_data:
        raise BodyMalformed("the lz4 body is cut off, or something follows it")
    return plain


def _deflate(data: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(data, limit + 1)
    except zlib.error as error:
        raise BodyMalformed(f"the body is not valid deflate: {error}") from error
    _check_length(plain, limit)
    if not unpacker.eof or unpacker.unused_data:
        raise BodyMalformed("the deflate body is cut off, or something follows it")
    return plain


def _check_length(plain: bytes, limit: int) -> None:
    if len(plain) > limit:
        raise BodyTooLarge(f"the body unpacks to more than the {limit} bytes allowed")
