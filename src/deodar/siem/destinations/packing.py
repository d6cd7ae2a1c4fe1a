"""Compression of what leaves, by the names that HTTP gives it."""

from __future__ import annotations

import gzip
from typing import Literal

import cramjam
import zstandard

Packing = Literal["none", "gzip", "snappy", "zstd"]
"""snappy is its block format without framing, as in Prometheus's remote write."""


def pack(data: bytes, packing: Packing) -> bytes:
    """Return the data packed; the same data gives the same bytes."""
    if packing == "gzip":
        return gzip.compress(data, 5, mtime=0)
    if packing == "snappy":
        return bytes(cramjam.snappy.compress_raw(data))
    if packing == "zstd":
        return zstandard.ZstdCompressor(level=3).compress(data)
    return data
