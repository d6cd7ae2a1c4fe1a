"""Bodies packed by LZ4 and deflate; the others are tested with the kit."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import lz4.frame
import pytest

from deodar.kit.body import BodyMalformed, BodyTooLarge
from deodar.store.front_body import read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PACK = {"lz4": lz4.frame.compress, "deflate": zlib.compress}


async def parts(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 7):
        yield data[start : start + 7]


@pytest.mark.parametrize("encoding", ["lz4", "deflate"])
async def test_round_trip(encoding: str) -> None:
    data = b"abc" * 1000
    assert await read(parts(PACK[encoding](data)), encoding, len(data)) == data
    assert await read(parts(PACK[encoding](b"")), encoding.upper(), 10_000) == b""


@pytest.mark.parametrize("encoding", ["lz4", "deflate"])
async def test_bounded(encoding: str) -> None:
    packed = PACK[encoding](b"x" * 1_000_000)
    with pytest.raises(BodyTooLarge):
        await read(parts(packed), encoding, 100_000)


@pytest.mark.parametrize("encoding", ["lz4", "deflate"])
async def test_damage(encoding: str) -> None:
    packed = PACK[encoding](b"abc" * 1000)
    for damaged in (packed[:-5], packed + b"x", b"nonsense", b""):
        with pytest.raises(BodyMalformed):
            await read(parts(damaged), encoding, 100_000)
