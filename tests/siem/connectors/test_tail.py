from __future__ import annotations

import gzip
import os

import pytest

from deodar.siem.connectors.tail import HEAD, Reader, beginning, is_same, matches, moved

TEXT = b"".join(b"line %d\n" % n for n in range(1000))


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(TEXT)
    return path


@pytest.fixture
def opened():
    readers = []

    def open_(path):
        readers.append(Reader(path))
        return readers[-1]

    yield open_
    for reader in readers:
        reader.close()


def at(reader, path, offset):
    return moved(reader, beginning(str(path), reader), offset)


def test_a_file_is_the_same_while_it_grows_and_when_it_is_renamed(log, opened):
    reader = opened(log)
    place = at(reader, log, 500)
    assert (place.head_size, place.offset) == (HEAD, 500)
    with log.open("ab") as file:
        file.write(b"more\n")
    assert is_same(reader, place)
    log.rename(log.with_suffix(".1"))
    assert is_same(opened(log.with_suffix(".1")), place)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: os.truncate(path, 400),
        lambda path: path.write_bytes(b"other" + TEXT[5:]),
        lambda path: path.write_bytes(TEXT[:490] + b"x" * 20 + TEXT[510:]),
        lambda path: path.write_bytes(b""),
    ],
)
def test_a_file_that_was_truncated_or_overwritten_is_another(log, opened, change):
    reader = opened(log)
    place = at(reader, log, 500)
    change(log)
    assert not is_same(reader, place)


def test_a_copy_and_a_packed_copy_are_found_by_their_content(log, opened, tmp_path):
    place = at(opened(log), log, 500)
    copy, packed = tmp_path / "copy", tmp_path / "copy.gz"
    copy.write_bytes(TEXT)
    packed.write_bytes(gzip.compress(TEXT))
    other = tmp_path / "other"
    other.write_bytes(TEXT[:499] + b"!" + TEXT[500:])
    assert matches(opened(copy), [place]) == [place]
    assert matches(opened(packed), [place]) == [place]
    assert matches(opened(other), [place]) == []
    assert matches(opened(copy), [beginning("x", opened(copy))]) == []


def test_a_packed_file_is_read_by_offsets_of_its_content(tmp_path, opened):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(TEXT))
    reader = opened(path)
    assert reader.read(100, 50) == TEXT[50:150]
    place = at(reader, path, 150)
    assert is_same(opened(path), place)
    path.write_bytes(gzip.compress(TEXT)[:200])
    with pytest.raises(OSError, match="damaged"):
        opened(path).read(len(TEXT), 0)
