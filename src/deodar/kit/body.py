"""Request and response bodies: bounded decompression, and the choice of an encoding.

What is bounded is what came over the wire, what it unpacks to, and the time that the client takes.
Decompression goes on in small steps, so a body that unpacks to gigabytes costs no more memory than
the limit. Encodings are those of HTTP's Content-Encoding that the KATA clients and the agents use:
gzip (RFC 1952) and zstd (RFC 8878, RFC 9659).

Errors::

    DeodarError
    └── BodyError                   each has the HTTP `status` to answer with
        ├── BodyTooLarge            413: more bytes than allowed, packed or unpacked
        ├── BodyMalformed           400: not what its encoding says, cut off, or trailing bytes
        ├── BodyTooSlow             408: it did not come in time
        └── UnsupportedEncoding     415: an encoding that is not known here
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import zstandard

from deodar.kit.errors import DeodarError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Generator, Iterator

Encoding = Literal["zstd", "gzip", "identity"]

_STEP = 262_144  # bytes unpacked at a time
_GZIP = 31  # zlib's window bits for a gzip wrapper
_SMALL = 65_536  # bytes on the wire up to which unpacking does not need a thread
_ZSTD_WINDOW = 1 << 23  # bytes; RFC 9659 allows no more in HTTP
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"  # behind one byte 50..5F
_ZSTD_LONGEST_HEAD = 18  # bytes
_ZSTD_UNKNOWN = (-1, 2**64 - 1)  # how the library says that a frame does not tell its length


class BodyError(DeodarError):
    """A body cannot be taken; `status` is the HTTP status to answer with."""

    status: ClassVar[int] = 400


class BodyTooLarge(BodyError):  # noqa: N818
    """More bytes than allowed, on the wire or unpacked."""

    status = 413


class BodyMalformed(BodyError):  # noqa: N818
    """The bytes are not what their encoding says."""


class BodyTooSlow(BodyError):  # noqa: N818
    """The body did not come in time."""

    status = 408


class UnsupportedEncoding(BodyError):  # noqa: N818
    """The Content-Encoding is not known here."""

    status = 415


async def read_body(
    stream: AsyncIterable[bytes],
    encoding: str | None,
    *,
    max_wire: int,
    max_plain: int,
    time_limit: float | None = 60.0,
) -> bytes:
    """Return a whole body, unpacked.

    `stream` yields its parts as they come (Starlette: ``request.stream()``), `encoding` is the
    Content-Encoding header's value, if any. `max_wire` and `max_plain` bound its bytes before and
    after unpacking, `time_limit` the seconds until it is complete (None: unlimited). Raises the
    errors of this module; each carries the HTTP status.
    """
    packed = await read_packed(
        stream, encoding, max_wire=max_wire, max_plain=max_plain, time_limit=time_limit
    )
    if len(packed.data) < _SMALL:
        return packed.unpack()
    return await asyncio.to_thread(packed.unpack)


@dataclass(frozen=True)
class Packed:
    """A whole body as it came over the wire."""

    data: bytes
    encoding: str | None
    max_plain: int

    def unpack(self) -> bytes:
        """Return its content; raises BodyTooLarge and BodyMalformed. Takes a while."""
        return decode(self.data, self.encoding, max_plain=self.max_plain)


async def read_packed(
    stream: AsyncIterable[bytes],
    encoding: str | None,
    *,
    max_wire: int,
    max_plain: int,
    time_limit: float | None = 60.0,
) -> Packed:
    """Return a whole body, to be unpacked in a thread where other work is done on it.

    As `read_body`, but for the errors of unpacking.
    """
    _unpacker(encoding)  # an unknown encoding is refused before the body is read
    try:
        async with asyncio.timeout(time_limit):
            return Packed(await _collect(stream, max_wire), encoding, max_plain)
    except TimeoutError as error:
        raise BodyTooSlow(f"the body was not complete after {time_limit:g} seconds") from error


def decode(data: bytes, encoding: str | None, *, max_plain: int) -> bytes:
    """Return `data` unpacked by a Content-Encoding's value, at most `max_plain` bytes.

    Raises BodyTooLarge, BodyMalformed or UnsupportedEncoding.
    """
    parts: list[bytes] = []
    left = max_plain
    for part in _unpacker(encoding)(data, max_plain):
        left -= len(part)
        if left < 0:
            raise BodyTooLarge(f"the body unpacks to more than the {max_plain} bytes allowed")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def negotiate(accept_encoding: str) -> Encoding:
    """Return the encoding to answer with, by an Accept-Encoding header's value ("" if none).

    Of those that the client takes zstd comes before gzip, whatever the weights: it costs a
    fraction of the time. ``*`` alone means gzip, which every client has.
    """
    weights = dict(map(_weight, accept_encoding.lower().split(",")))
    if weights.get("zstd", 0.0) > 0:
        return "zstd"
    if weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0:
        return "gzip"
    return "identity"


def encode(data: bytes, encoding: Encoding, level: int = 1) -> bytes:
    """Return `data` packed by `encoding`; zstd frames say how long their content is."""
    if encoding == "zstd":
        return zstandard.ZstdCompressor(level=level).compress(data)
    if encoding == "gzip":
        return gzip.compress(data, level, mtime=0)
    return data


def _weight(item: str) -> tuple[str, float]:
    """Return (coding, weight) of one part of an Accept-Encoding header; nonsense weighs 0."""
    name, _, parameters = item.partition(";")
    key, _, value = parameters.partition("=")
    if key.strip() != "q":
        return name.strip(), 1.0
    try:
        return name.strip(), float(value)
    except ValueError:
        return name.strip(), 0.0


async def _collect(stream: AsyncIterable[bytes], max_wire: int) -> bytes:
    parts: list[bytes] = []
    left = max_wire
    async for part in stream:
        left -= len(part)
        if left < 0:
            raise BodyTooLarge(f"the body is larger than the {max_wire} bytes allowed")
        parts.append(part)
    return b"".join(parts)


# Unpackers: (data, limit) -> parts of at most _STEP bytes, one after another


def _identity(data: bytes, _limit: int) -> Iterator[bytes]:
    yield data


def _gzip(data: bytes, _limit: int) -> Iterator[bytes]:
    """Unpack gzip; several members after one another are one body."""
    stream = zlib.decompressobj(_GZIP)
    try:
        while True:
            part = stream.decompress(data, _STEP)
            yield part
            if stream.eof:
                data = stream.unused_data
                if not data:
                    return
                stream = zlib.decompressobj(_GZIP)
                continue
            data = stream.unconsumed_tail
            if not data and not part:
                raise BodyMalformed("the gzip body is cut off")
    except zlib.error as error:
        raise BodyMalformed(f"the body is not valid gzip: {error}") from error


def _zstd(data: bytes, limit: int) -> Iterator[bytes]:
    """Unpack zstd; several frames after one another are one body, skippable ones are skipped."""
    if not data:
        raise BodyMalformed("the zstd body is empty")
    offset = 0
    try:
        while offset < len(data):
            if data[offset + 1 : offset + 4] == _ZSTD_SKIPPABLE:
                offset += 8 + int.from_bytes(_exactly(data, offset + 4, 4), "little")
            else:
                offset = yield from _zstd_frame(data, offset, limit)
    except zstandard.ZstdError as error:
        raise BodyMalformed(f"the body is not valid zstd: {error}") from error
    if offset > len(data):
        raise BodyMalformed("the zstd body is cut off")


def _zstd_frame(data: bytes, offset: int, limit: int) -> Generator[bytes, None, int]:
    """Unpack one frame, block by block, as a block is never more than 128 KB; return its end."""
    head = data[offset : offset + _ZSTD_LONGEST_HEAD]
    frame = zstandard.get_frame_parameters(head)
    known = frame.content_size not in _ZSTD_UNKNOWN
    if known and frame.content_size > limit:
        raise BodyTooLarge(f"the body unpacks to more than the {limit} bytes allowed")
    stream = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    end = offset + zstandard.frame_header_size(head)
    last = False
    while not last:
        last, size = _zstd_block(data, end)
        end += 3 + size
        if last and frame.has_checksum:
            end += 4
        yield stream.decompress(_exactly(data, offset, end - offset))
        offset = end
    if not stream.eof:
        raise BodyMalformed("the zstd body is cut off")
    return end


def _zstd_block(data: bytes, offset: int) -> tuple[bool, int]:
    """Return (is the last block of its frame, bytes behind its three bytes of head)."""
    head = int.from_bytes(_exactly(data, offset, 3), "little")
    is_run = (head >> 1) & 3 == 1  # one byte, repeated
    return bool(head & 1), 1 if is_run else head >> 3


def _exactly(data: bytes, offset: int, size: int) -> bytes:
    part = data[offset : offset + size]
    if len(part) != size:
        raise BodyMalformed("the zstd body is cut off")
    return part


_UNPACKERS = {"identity": _identity, "gzip": _gzip, "x-gzip": _gzip, "zstd": _zstd}


def _unpacker(encoding: str | None) -> Callable[[bytes, int], Iterator[bytes]]:
    name = (encoding or "identity").strip().lower()
    if name not in _UNPACKERS:
        raise UnsupportedEncoding(
            f"the Content-Encoding {name[:40]!r} is not known here; use gzip, zstd, or none"
        )
    return _UNPACKERS[name]
