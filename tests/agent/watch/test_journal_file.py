"""With a journal that systemd wrote it is tested in tests/e2e/test_logons.py."""

from __future__ import annotations

import pytest
from tests.agent.watch.journal_writer import Writer

from deodar.agent.watch.journal_file import TIME, JournalError, JournalFile


@pytest.fixture(params=[True, False], ids=["compact", "regular"])
def writer(request, tmp_path) -> Writer:
    return Writer(tmp_path / "system.journal", compact=request.param)


@pytest.fixture
def file(writer):
    opened = JournalFile(writer.path, ("MESSAGE", "_PID"))
    yield opened
    opened.close()


def test_what_is_appended_is_read_once(writer):
    writer.entry(1, MESSAGE="old")
    file = JournalFile(writer.path, ("MESSAGE", "_PID"))
    assert list(file.read()) == []
    writer.entry(2, MESSAGE="new", _PID="7", _CMDLINE="not wanted")
    writer.entry(3, MESSAGE="newer = newest")
    assert list(file.read()) == [
        {TIME: "2", "MESSAGE": "new", "_PID": "7"},
        {TIME: "3", "MESSAGE": "newer = newest"},
    ]
    assert list(file.read()) == []
    file.close()


def test_from_the_start_all_is_read(writer):
    writer.entry(1, MESSAGE="old")
    file = JournalFile(writer.path, ("MESSAGE",), from_start=True)
    assert [entry["MESSAGE"] for entry in file.read()] == ["old"]
    file.close()


def test_an_entry_counts_when_it_is_complete(writer, file):
    writer.entry(2, finish=False, MESSAGE="half")
    assert list(file.read()) == []
    writer.finish()
    assert [entry["MESSAGE"] for entry in file.read()] == ["half"]


def test_a_compressed_field_is_left_out(writer, file):
    writer.compressed(2, "MESSAGE=x")
    assert list(file.read()) == [{TIME: "2"}]


@pytest.mark.parametrize("content", [b"", b"no journal" * 50, b"LPKSHHRH"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "odd.journal"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"odd\.journal"):
        JournalFile(path, ("MESSAGE",))


def test_an_object_without_a_size_ends_the_reading(writer, file):
    writer.entry(2, MESSAGE="x")
    with writer.path.open("r+b") as raw:
        raw.seek(writer.path.stat().st_size - 400 if writer.path.stat().st_size > 700 else 288)
        raw.write(bytes(400))
    with pytest.raises(JournalError):
        list(file.read())
