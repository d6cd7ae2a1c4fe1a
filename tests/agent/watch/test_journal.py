from __future__ import annotations

import pytest
from tests.agent.watch.journal_writer import Writer

from deodar.agent.watch.journal import Journal
from deodar.agent.watch.log_lines import LogLine

SSHD = {
    "SYSLOG_FACILITY": "4", "SYSLOG_IDENTIFIER": "sshd", "_PID": "7", "_UID": "0",
    "_EXE": "/usr/sbin/sshd", "MESSAGE": "Accepted",
}  # fmt: skip


@pytest.fixture
def writer(tmp_path) -> Writer:
    folder = tmp_path / "var/log/journal/0123"
    folder.mkdir(parents=True)
    return Writer(folder / "system.journal", compact=True)


@pytest.fixture
def journal(tmp_path, writer):
    made = Journal(tmp_path, knows_pids=True)
    assert list(made.read()) == []
    yield made
    made.close()


def test_lines_of_authentications_are_read(writer, journal):
    writer.entry(5, **SSHD)
    writer.entry(6, **SSHD | {"SYSLOG_FACILITY": "3"})
    assert list(journal.read()) == [LogLine(5000, "sshd", 7, "Accepted", "journal")]


@pytest.mark.parametrize(
    ("changes", "trusted"),
    [
        ({"_UID": "1000"}, True),  # su and sudo run as who calls them
        ({"_UID": "1000", "_EXE": "/usr/bin/logger"}, False),
        ({"_UID": "1000", "_EXE": "/home/anna/sshd"}, False),
        ({"_UID": "1000", "_EXE": ""}, False),
        ({"_EXE": ""}, True),
    ],
)
def test_only_root_and_known_programs_are_trusted(writer, journal, changes, trusted):
    writer.entry(5, **SSHD | changes)
    (line,) = journal.read()
    assert line.trusted is trusted


def test_a_new_file_is_read_from_its_start_and_an_old_one_to_its_end(writer, journal):
    writer.entry(5, **SSHD | {"MESSAGE": "last of the old"})
    writer.path.rename(writer.path.with_name("system@1.journal"))
    fresh = Writer(writer.path, compact=True)
    fresh.entry(6, **SSHD | {"MESSAGE": "first of the new"})
    assert [line.message for line in journal.read()] == ["last of the old", "first of the new"]
    assert list(journal.read()) == []


def test_files_of_users_are_read_and_damaged_ones_are_not(writer, journal):
    writer.path.with_name("user-1000.journal~").write_bytes(b"odd")
    writer.path.with_name("user-1000.journal").write_bytes(b"odd")
    other = Writer(writer.path.with_name("user-1001.journal"), compact=False)
    other.entry(7, **SSHD)
    assert len(list(journal.read())) == 1


def test_pids_of_another_machine_are_not_taken_for_ours(tmp_path, writer):
    journal = Journal(tmp_path, knows_pids=False)
    list(journal.read())
    writer.entry(5, **SSHD)
    assert [line.pid for line in journal.read()] == [0]
    journal.close()


def test_whether_there_is_one(tmp_path, journal):
    assert journal.exists()
    assert not Journal(tmp_path / "none", knows_pids=True).exists()
