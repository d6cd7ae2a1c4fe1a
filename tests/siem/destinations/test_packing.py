from __future__ import annotations

import gzip

import cramjam
import pytest
import zstandard

from deodar.siem.destinations.packing import pack

READERS = {
    "none": bytes,
    "gzip": gzip.decompress,
    "snappy": lambda data: bytes(cramjam.snappy.decompress_raw(data)),
    "zstd": lambda data: zstandard.ZstdDecompressor().decompress(data),
}


@pytest.mark.parametrize("packing", sorted(READERS))
def test_packed_data_is_read_back_and_always_the_same(packing):
    data = b"event " * 1000
    packed = pack(data, packing)
    assert READERS[packing](packed) == data
    assert packed == pack(data, packing)
