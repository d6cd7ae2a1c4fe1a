from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from deodar.kit.journal import Journal, JournalUnavailable


def _numbers(journal: Journal) -> list[int]:
    return [record.number for record in journal.read()]


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.segment"))


class _FullDisk:
    """Makes pwrite store only part of what it gets, and then fail, until `mend` is called."""

    def __init__(self, monkeypatch, room: int) -> None:
        self._real, self._room, self.broken = os.pwrite, room, True
        monkeypatch.setattr(os, "pwrite", self._pwrite)

    def _pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        if not self.broken:
            return self._real(descriptor, data, offset)
        part = memoryview(data)[: self._room]
        if not part:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._room -= len(part)
        return self._real(descriptor, part, offset)


@pytest.mark.parametrize("room", [0, 1, 10, 24, 50, 123])
def test_a_write_that_stops_halfway_leaves_no_trace(tmp_path, monkeypatch, room):
    with Journal(tmp_path) as journal:
        journal.append(b"good", b"one")
        disk = _FullDisk(monkeypatch, room)
        with pytest.raises(JournalUnavailable, match="No space left on device"):
            journal.append(b"lost", b"x" * 100)
        assert (journal.last(), journal.last_header, len(journal)) == (1, b"good", 1)
        disk.broken = False
        assert journal.append(b"retry", b"y") == 2
    with Journal(tmp_path) as again:
        assert [record.header for record in again.read()] == [b"good", b"retry"]
        assert (again.damage, again.cut_bytes) == ((), 0)


def test_a_new_segment_that_cannot_be_written_leaves_the_old_one_newest(tmp_path, monkeypatch):
    with Journal(tmp_path, segment_bytes=100) as journal:
        journal.append(b"good", b"x" * 90)
        disk = _FullDisk(monkeypatch, room=10)
        with pytest.raises(JournalUnavailable):
            journal.append(b"lost", b"x" * 90)
        assert len(_segments(tmp_path)) == 1
        disk.broken = False
        assert journal.append(b"retry", b"x" * 90) == 2
    with Journal(tmp_path) as again:
        assert [record.header for record in again.read()] == [b"good", b"retry"]


def test_bytes_that_could_not_be_forced_to_disk_do_not_count(tmp_path, monkeypatch):
    with Journal(tmp_path) as journal:
        journal.append(b"good", b"")

        def refuse(_descriptor: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as broken:
            broken.setattr(os, "fdatasync", refuse)
            with pytest.raises(JournalUnavailable, match="Input/output error"):
                journal.append(b"lost", b"")
        assert _numbers(journal) == [1]
        assert journal.append(b"retry", b"") == 2
        assert [record.header for record in journal.read()] == [b"good", b"retry"]
        monkeypatch.setattr(os, "fdatasync", refuse)
        with pytest.raises(JournalUnavailable):
            journal.append(b"lost", b"")
    with Journal(tmp_path) as again:
        assert [record.header for record in again.read()] == [b"good", b"retry"]


def test_a_really_full_disk_loses_nothing_that_was_confirmed(tmp_path):
    """The limit of a file's size stands for the disk's end: any user can set it."""
    code = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from deodar.kit.journal import Journal, JournalUnavailable
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))
        journal, confirmed = Journal(Path(sys.argv[1])), 0
        try:
            while True:
                confirmed = journal.append(b"h", b"x" * 333)
        except JournalUnavailable as error:
            assert "File too large" in str(error), error
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert journal.append(b"after", b"y" * 500) == confirmed + 1
        print(confirmed)
    """)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    with Journal(tmp_path) as again:
        assert _numbers(again) == list(range(1, int(run.stdout) + 2))
        assert again.last_header == b"after"


def test_a_sealed_segment_takes_no_more(tmp_path):
    with Journal(tmp_path) as journal:
        journal.seal()
        assert _segments(tmp_path) == []
        journal.append(b"h", b"one")
        journal.seal()
        journal.seal()
        journal.append(b"h", b"two")
        assert [path.name[:20] for path in _segments(tmp_path)] == [f"{n:020d}" for n in (1, 2)]
        assert [one.sealed for one in journal.stretches()] == [True, False]
