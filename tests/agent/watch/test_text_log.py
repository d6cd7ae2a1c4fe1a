from __future__ import annotations

import time

import pytest

from deodar.agent.watch.log_lines import LONGEST, LogLine
from deodar.agent.watch.text_log import TextLog


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "var/log/auth.log"
    file.parent.mkdir(parents=True)
    file.write_text("Nov 28 01:00:00 host sshd[1]: old\n")
    return file


@pytest.fixture
def log(tmp_path, path) -> TextLog:
    made = TextLog(tmp_path, knows_pids=True)
    assert list(made.read()) == []
    return made


def append(path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def test_both_forms_of_lines_are_read(path, log):
    before = time.time_ns()
    append(path, "Nov  8 01:42:01 host sshd[98]: Accepted x\n")
    append(path, "2026-11-28T01:42:01.5+01:00 host su: pam_unix(su:auth): y\n")
    first, second = log.read()
    assert (first.program, first.pid, first.message) == ("sshd", 98, "Accepted x")
    assert before <= first.time_ns <= time.time_ns()
    assert second == LogLine(1795826521500000000, "su", 0, "pam_unix(su:auth): y", "log")


def test_a_line_counts_when_it_is_whole(path, log):
    append(path, "Nov 28 01:42:01 host sshd[98]: Accep")
    assert list(log.read()) == []
    append(path, "ted\n")
    assert [line.message for line in log.read()] == ["Accepted"]


def test_what_is_no_line_is_passed_over(path, log):
    append(path, "\n\0\0\0\nx\n" + "y" * (LONGEST * 2))
    assert list(log.read()) == []
    append(path, "\nNov 28 01:42:01 host sshd[98]: Accepted\n")
    assert [line.message for line in log.read()] == ["Accepted"]


def test_whether_there_is_one(tmp_path, log):
    assert log.exists()
    assert not TextLog(tmp_path / "none", knows_pids=True).exists()
    log.close()
