from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from deodar.kit.journal import Journal, JournalUnavailable, Record
from deodar.kit.journal.replacement import is_in_place


def _filled(folder: Path, **options) -> Journal:
    """Return a journal with records 1 to 4 in its first segment, sealed, and 5 in the next."""
    journal = Journal(folder, **options)
    for n in range(1, 5):
        journal.append(b"%d" % n, b"body %d" % n * 20)
    journal.seal()
    journal.append(b"5", b"body 5")
    return journal


def _headers(journal: Journal) -> list[bytes]:
    return [record.header for record in journal.read()]


def test_new_content_takes_the_place_of_the_old_and_stays(tmp_path):
    with _filled(tmp_path) as journal:
        before = journal.bytes_used
        new = journal.prepare(1, [Record(2, b"two", b"less"), Record(4, b"4", b"")])
        assert _headers(journal) == [b"1", b"2", b"3", b"4", b"5"]
        assert not journal.is_replaced(new.mark)
        assert journal.replace(new)
        assert journal.is_replaced(new.mark)
        assert next(journal.read()) == Record(2, b"two", b"less")
        assert _headers(journal) == [b"two", b"4", b"5"]
        assert journal.bytes_used < before
    with Journal(tmp_path) as again:
        assert _headers(again) == [b"two", b"4", b"5"]
        assert (again.damage, again.cut_bytes, again.last_header) == ((), 0, b"5")
        assert again.is_replaced(new.mark)


def test_the_last_header_outlives_the_records_before_it(tmp_path):
    with Journal(tmp_path) as journal:
        for n in range(3):
            journal.append(b"%d" % n, b"")
        journal.seal()
        assert journal.replace(journal.prepare(1, []))
    with Journal(tmp_path) as again:
        assert (again.last_header, again.last(), len(again)) == (b"2", 3, 0)


def test_content_of_a_segment_that_is_gone_is_thrown_away(tmp_path):
    with _filled(tmp_path) as journal:
        new = journal.prepare(1, [Record(2, b"two", b"less")])
        journal.acknowledge(4)
        assert not journal.replace(new)
        assert not journal.is_replaced(new.mark)
        assert _headers(journal) == [b"5"]
        assert not (tmp_path / "replacement").exists()
        assert journal.prepare(1, []) is None


def test_the_newest_segment_cannot_be_replaced(tmp_path):
    with _filled(tmp_path) as journal:
        assert journal.prepare(5, []) is None


def test_digests_are_folded_from_the_headers(tmp_path):
    def fold(digest, header):
        return (digest or 0) + int(header)

    with _filled(tmp_path, fold=fold) as journal:
        assert [(one.first, one.last, one.digest) for one in journal.stretches()] == [
            (1, 4, 10),
            (5, 5, 5),
        ]
        journal.replace(journal.prepare(1, [Record(3, b"30", b"")]))
        assert [one.digest for one in journal.stretches()] == [30, 5]
    with Journal(tmp_path, fold=fold) as again:
        assert [one.digest for one in again.stretches()] == [30, 5]


@pytest.mark.parametrize("name", ["pwrite", "fdatasync", "open"])
def test_new_content_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch, name):
    with _filled(tmp_path) as journal:

        def refuse(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as broken:
            broken.setattr(os, name, refuse)
            with pytest.raises(JournalUnavailable, match="No space left on device"):
                journal.prepare(1, [Record(2, b"two", b"less")])
        assert not (tmp_path / "replacement").exists()
        assert _headers(journal) == [b"1", b"2", b"3", b"4", b"5"]


def test_new_content_that_cannot_be_put_in_place_leaves_the_old(tmp_path, monkeypatch):
    with _filled(tmp_path) as journal:
        new = journal.prepare(1, [Record(2, b"two", b"less")])

        def refuse(*_):
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as broken:
            broken.setattr(os, "rename", refuse)
            with pytest.raises(JournalUnavailable, match="Input/output error"):
                journal.replace(new)
        new.discard()
        assert _headers(journal) == [b"1", b"2", b"3", b"4", b"5"]


def test_leftovers_of_a_crash_are_removed(tmp_path):
    _filled(tmp_path).close()
    for name in ("replacement", "next"):
        (tmp_path / name).write_bytes(b"half")
    with Journal(tmp_path) as journal:
        assert _headers(journal) == [b"1", b"2", b"3", b"4", b"5"]
        assert not (tmp_path / "replacement").exists()
        assert not (tmp_path / "next").exists()


def test_a_mark_of_a_segment_that_never_was_is_not_in_place(tmp_path):
    assert not is_in_place(tmp_path, "00000000000000000001.segment/12")
    assert not is_in_place(tmp_path, "nonsense")


def test_others_go_on_while_new_content_is_written(tmp_path):
    with _filled(tmp_path) as journal:
        begun, go_on = threading.Event(), threading.Event()

        def slowly():
            begun.set()
            assert go_on.wait(20)
            yield Record(2, b"two", b"less")

        def work():
            journal.replace(journal.prepare(1, slowly()))

        thread = threading.Thread(target=work)
        thread.start()
        assert begun.wait(20)
        journal.append(b"6", b"")
        assert _headers(journal) == [b"1", b"2", b"3", b"4", b"5", b"6"]
        journal.acknowledge(1)
        go_on.set()
        thread.join(20)
        assert _headers(journal) == [b"two", b"5", b"6"]
