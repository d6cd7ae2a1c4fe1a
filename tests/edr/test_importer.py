from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from deodar.edr import importer
from deodar.edr.ingest import Receipt


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b""))), st.booleans())
def test_the_chunks_are_the_file(lines, ends):
    text = b"\n".join(lines) + b"\n" * ends
    cut = list(importer.chunks(io.BytesIO(text)))
    assert b"".join(chunk.body for chunk in cut) == text
    expected = 1
    for chunk in cut:
        assert chunk.first_line == expected
        expected += chunk.lines


def test_chunks_are_bounded_in_lines_and_bytes(monkeypatch):
    monkeypatch.setattr(importer, "CHUNK_EVENTS", 3)
    monkeypatch.setattr(importer, "CHUNK_BYTES", 10)
    cut = list(importer.chunks(io.BytesIO(b"1\n2\n3\n4\n" + b"x" * 8 + b"\n" + b"y" * 8 + b"\n5")))
    assert [chunk.lines for chunk in cut] == [3, 1, 1, 2]
    assert [chunk.first_line for chunk in cut] == [1, 4, 5, 6]


def test_a_line_that_is_too_long_is_set_apart_and_the_rest_goes_on(monkeypatch):
    monkeypatch.setattr(importer, "LONGEST_LINE", 10)
    cut = list(importer.chunks(io.BytesIO(b"a\n" + b"x" * 50 + b"\nb\n" + b"y" * 11)))
    assert [(chunk.first_line, chunk.too_long) for chunk in cut] == [
        (1, False),
        (2, True),
        (3, False),
        (4, True),
    ]
    assert cut[1].body == b"x" * 11


def test_a_line_of_just_the_longest_size_is_taken(monkeypatch):
    monkeypatch.setattr(importer, "LONGEST_LINE", 10)
    (chunk,) = importer.chunks(io.BytesIO(b"x" * 10 + b"\n"))
    assert not chunk.too_long


async def test_packets_are_numbered_and_the_sums_returned(monkeypatch):
    monkeypatch.setattr(importer, "CHUNK_EVENTS", 2)
    sent = []

    async def send(origin, chunk):
        sent.append((origin.number, origin.first_line, chunk.body))
        return Receipt(origin.number, chunk.lines - 1, 1)

    done = await importer.import_file(io.BytesIO(b"1\n2\n3\n4\n5"), send)
    assert sent == [(1, 1, b"1\n2\n"), (2, 3, b"3\n4\n"), (3, 5, b"5")]
    assert (done.lines, done.events, done.dead) == (5, 2, 3)


async def test_each_import_is_a_source_of_its_own():
    sources = []

    async def send(origin, chunk):
        sources.append(origin.source)
        return Receipt(1)

    for _ in range(2):
        await importer.import_file(io.BytesIO(b"x"), send)
    assert len(set(sources)) == 2
