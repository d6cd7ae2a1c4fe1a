from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import subprocess
import sys
import textwrap
import zlib

import httpx
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from deodar.kit.body import (
    BodyError,
    BodyMalformed,
    BodyTooLarge,
    BodyTooSlow,
    UnsupportedEncoding,
    decode,
    encode,
    negotiate,
    read_body,
)
from deodar.kit.errors import DeodarError

TEXT = b'{"EventType":"process","FileName":"/usr/bin/true"}\n' * 8_000  # 400 KB
PACKED = {
    "gzip": gzip.compress(TEXT),
    "zstd": zstandard.compress(TEXT),
}


async def _stream(*parts: bytes, pause: float = 0):
    for part in parts:
        await asyncio.sleep(pause)
        yield part


async def _read(data: bytes, encoding: str | None, **limits) -> bytes:
    options = {"max_wire": 1 << 20, "max_plain": 1 << 20} | limits
    parts = [data[i : i + 1_000] for i in range(0, len(data), 1_000)]
    return await read_body(_stream(*parts), encoding, **options)


@given(st.binary(max_size=2_000), st.sampled_from(["zstd", "gzip", "identity"]), st.integers(1, 9))
def test_what_is_packed_is_unpacked_the_same(data, encoding, level):
    assert decode(encode(data, encoding, level), encoding, max_plain=len(data)) == data


@pytest.mark.parametrize("encoding", [None, "", "identity", " Identity "])
async def test_a_body_without_encoding_is_taken_as_it_is(encoding):
    assert await _read(TEXT, encoding) == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", "zstd", " zstd "])
async def test_packed_bodies_are_unpacked(encoding):
    packed = PACKED["zstd" if "zstd" in encoding else "gzip"]
    assert await _read(packed, encoding) == TEXT


async def test_large_bodies_are_unpacked_too():
    text = os.urandom(3_000_000)
    for encoding in ("gzip", "zstd"):
        packed = encode(text, encoding)
        assert await _read(packed, encoding, max_wire=1 << 23, max_plain=1 << 23) == text


@pytest.mark.parametrize(
    "encoding", ["br", "deflate", "gzip, zstd", "zstd;q=1", "\udcff", "x" * 999]
)
async def test_other_encodings_are_refused_before_the_body_is_read(encoding):
    async def never():
        pytest.fail("the body was read")
        yield b""

    with pytest.raises(UnsupportedEncoding, match="use gzip, zstd, or none") as refusal:
        await read_body(never(), encoding, max_wire=1, max_plain=1)
    assert refusal.value.status == 415
    assert len(str(refusal.value)) < 150


async def test_the_wire_limit_is_exact_and_stops_the_reading():
    assert len(await _read(b"x" * 1_000, None, max_wire=1_000)) == 1_000
    read = 0

    async def endless():
        nonlocal read
        while True:
            read += 100
            yield b"x" * 100

    with pytest.raises(BodyTooLarge, match="larger than the 1000 bytes allowed") as refusal:
        await read_body(endless(), None, max_wire=1_000, max_plain=10_000)
    assert (refusal.value.status, read) == (413, 1_100)


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
def test_the_plain_limit_is_exact(encoding):
    packed = encode(TEXT, encoding)
    assert decode(packed, encoding, max_plain=len(TEXT)) == TEXT
    with pytest.raises(BodyTooLarge, match="unpacks to more than"):
        decode(packed, encoding, max_plain=len(TEXT) - 1)


def _zstd_of_unknown_length(data: bytes, **options) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False, **options).compress(data)


def test_zstd_in_all_its_forms():
    streaming = zstandard.ZstdCompressor(level=3).compressobj()
    flushed = b"".join(
        streaming.compress(TEXT[i : i + 10_000])
        + streaming.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        for i in range(0, len(TEXT), 10_000)
    )
    flushed += streaming.flush()
    checked = zstandard.ZstdCompressor(level=19, write_checksum=True).compress(TEXT)
    skippable = b"\x5a\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    empty = zstandard.compress(b"")
    for form in (
        flushed,
        checked,
        _zstd_of_unknown_length(TEXT),
        skippable + checked + skippable,
        empty + checked + empty,
        checked[:] + empty,
        _zstd_of_unknown_length(TEXT[:100]) + _zstd_of_unknown_length(TEXT[100:]),
    ):
        assert decode(form, "zstd", max_plain=len(TEXT)) == TEXT
    assert decode(skippable, "zstd", max_plain=0) == b""


def test_several_gzip_members_are_one_body():
    members = gzip.compress(TEXT[:99]) + gzip.compress(b"") + gzip.compress(TEXT[99:])
    assert decode(members, "gzip", max_plain=len(TEXT)) == TEXT
    with pytest.raises(BodyTooLarge):
        decode(members, "gzip", max_plain=len(TEXT) - 1)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_body_cut_off_anywhere_is_an_error(encoding):
    packed = encode(TEXT[:3_000], encoding)
    for length in range(len(packed)):
        with pytest.raises(BodyMalformed) as refusal:
            decode(packed[:length], encoding, max_plain=10_000)
        assert refusal.value.status == 400


def test_a_cut_off_zstd_body_of_unknown_length_with_checksum_is_an_error():
    packed = _zstd_of_unknown_length(TEXT[:3_000], write_checksum=True)
    for length in range(len(packed)):
        with pytest.raises(BodyMalformed):
            decode(packed[:length], "zstd", max_plain=10_000)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_trailing_bytes_are_an_error(encoding):
    for trailing in (b"x", b"\n", bytes(20)):
        with pytest.raises(BodyMalformed):
            decode(PACKED[encoding] + trailing, encoding, max_plain=1 << 20)


@given(st.data())
def test_damage_never_gives_another_body(data):
    encoding = data.draw(st.sampled_from(["gzip", "zstd"]))
    text = TEXT[:500]
    good = (
        encode(text, "gzip")
        if encoding == "gzip"
        else _zstd_of_unknown_length(text, write_checksum=True)
    )
    position = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[position] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(BodyMalformed, BodyTooLarge):
        assert decode(bytes(bad), encoding, max_plain=10_000) == text


@given(st.binary(max_size=200), st.sampled_from(["gzip", "zstd"]))
def test_any_bytes_get_an_answer(data, encoding):
    with contextlib.suppress(BodyMalformed, BodyTooLarge):
        assert len(decode(data, encoding, max_plain=5_000)) <= 5_000


def _bombs() -> dict[str, bytes]:
    layers = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    squeezed = b"".join(layers.compress(zeros) for _ in range(1 << 10)) + layers.flush()
    unknown = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    packed = b"".join(unknown.compress(zeros) for _ in range(1 << 10)) + unknown.flush()
    block = (128 * 1024 << 3 | 2).to_bytes(3, "little") + b"\0"  # one byte, 131,072 times
    liar = b"\x28\xb5\x2f\xfd\x00\x68" + block * 100_000
    claim = b"\x28\xb5\x2f\xfd\xc0\x88" + (1 << 40).to_bytes(8, "little") + b"\x01\0\0"
    return {"gzip": squeezed, "zstd": packed, "zstd runs": liar, "zstd claim": claim}


def test_bombs_cost_no_more_memory_than_the_limit(tmp_path):
    """Each unpacks to a gigabyte or more; the child may have 100 MB more than it starts with."""
    code = textwrap.dedent("""
        import resource, sys, time
        from pathlib import Path
        from deodar.kit.body import BodyTooLarge, decode
        data = Path(sys.argv[1]).read_bytes()
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000, resource.RLIM_INFINITY))
        begin = time.process_time()
        try:
            decode(data, sys.argv[2], max_plain=16 << 20)
        except BodyTooLarge:
            print("refused")
        assert time.process_time() - begin < 5
    """)
    for name, bomb in _bombs().items():
        (tmp_path / "bomb").write_bytes(bomb)
        command = [sys.executable, "-c", code, tmp_path / "bomb", name.split()[0]]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert run.stdout == "refused\n", (name, run.stderr)


def test_a_zstd_window_that_needs_much_memory_is_refused():
    parameters = zstandard.ZstdCompressionParameters(window_log=24)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(TEXT) + packer.flush()
    with pytest.raises(BodyMalformed, match="too much memory"):
        decode(packed, "zstd", max_plain=1 << 20)


async def test_a_body_that_does_not_come_in_time_is_an_error():
    parts = [b"x"] * 1_000
    with pytest.raises(BodyTooSlow, match=r"not complete after 0\.1 seconds") as refusal:
        await read_body(
            _stream(*parts, pause=0.01), None, max_wire=9_999, max_plain=9_999, time_limit=0.1
        )
    assert refusal.value.status == 408
    whole = _stream(b"x", b"y", pause=0.01)
    assert await read_body(whole, None, max_wire=9, max_plain=9, time_limit=None) == b"xy"


async def test_it_takes_a_starlette_request():
    async def handler(request):
        encoding = request.headers.get("content-encoding")
        try:
            body = await read_body(request.stream(), encoding, max_wire=10_000, max_plain=1 << 20)
        except BodyError as error:
            return PlainTextResponse(str(error), error.status)
        return PlainTextResponse(str(len(body)))

    app = Starlette(routes=[Route("/", handler, methods=["POST"])])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        headers = {"content-encoding": "zstd"}
        assert (await client.post("/", content=PACKED["zstd"], headers=headers)).text == str(
            len(TEXT)
        )
        assert (await client.post("/", content=TEXT)).status_code == 413
        assert (await client.post("/", content=TEXT[:99], headers=headers)).status_code == 400


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("", "identity"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP;q=0.5", "gzip"),
        ("zstd;q=0.1, gzip;q=1.0", "zstd"),
        ("zstd;q=0, gzip", "gzip"),
        ("gzip;q=0", "identity"),
        ("*", "gzip"),
        ("*;q=0", "identity"),
        ("gzip;q=0, *", "identity"),
        ("identity", "identity"),
        ("br", "identity"),
        ("gzip;q=nonsense", "identity"),
        (";;;,,,===", "identity"),
        ("zstd ; q=0.3", "zstd"),
    ],
)
def test_the_encoding_of_an_answer_is_one_that_the_client_takes(accepted, encoding):
    assert negotiate(accepted) == encoding


@given(st.text(max_size=60))
def test_any_header_gets_an_encoding(accepted):
    assert negotiate(accepted) in ("zstd", "gzip", "identity")


def test_other_tools_read_what_is_packed():
    assert gzip.decompress(encode(TEXT, "gzip")) == TEXT
    packed = encode(TEXT, "zstd")
    assert zstandard.decompress(packed) == TEXT
    assert zstandard.frame_content_size(packed) == len(TEXT)
    assert encode(TEXT, "identity") is TEXT
    assert encode(TEXT, "gzip") == encode(TEXT, "gzip")


def test_all_errors_are_for_users():
    for kind in (BodyTooLarge, BodyMalformed, BodyTooSlow, UnsupportedEncoding):
        assert issubclass(kind, BodyError)
    assert issubclass(BodyError, DeodarError)
