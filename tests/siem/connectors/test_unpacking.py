from __future__ import annotations

import gzip

import pytest
import zstandard

from deodar.siem.connectors.unpacking import Unusable, events_of


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"a\r\n\nb\n", {}),
        (gzip.compress(b"a\nb", mtime=0), {"content-encoding": "gzip"}),
        (zstandard.ZstdCompressor().compress(b"a\nb"), {"Content-Encoding": "zstd"}),
    ],
    ids=["plain", "gzip", "zstd"],
)
def test_lines_are_unpacked_as_the_header_says(body, headers):
    assert events_of(body, headers, "lines", 10) == ([b"a", b"b"], [])


def test_a_message_is_one_event_and_an_empty_one_none():
    assert events_of(b"a\nb", {}, "message", 10) == ([b"a\nb"], [])
    assert events_of(b"", {}, "message", 10) == ([], [])


def test_what_is_too_long_is_told_apart_by_its_beginning():
    assert events_of(b"a\n" + b"x" * 11, {}, "lines", 10) == ([b"a"], [b"x" * 10])


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "br"])
def test_what_does_not_unpack_is_unusable_with_its_bytes(encoding):
    with pytest.raises(Unusable, match="does not unpack") as caught:
        events_of(b"nonsense", {"content-encoding": encoding}, "lines", 10)
    assert caught.value.body == b"nonsense"
