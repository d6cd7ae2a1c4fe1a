from __future__ import annotations

import pytest

from deodar.agent.sensors.logon_acts import LogonKind
from deodar.agent.watch.utmp_files import BAD, DEAD_PROCESS, GOOD, RECORD, USER_PROCESS, UtmpFiles


@pytest.fixture
def files(tmp_path) -> UtmpFiles:
    (tmp_path / GOOD).parent.mkdir(parents=True)
    (tmp_path / GOOD).write_bytes(record(USER_PROCESS, b"pts/9", b"old"))
    made = UtmpFiles(tmp_path)
    assert list(made.signs()) == []
    return made


def record(kind: int, line: bytes, user: bytes = b"", host: bytes = b"") -> bytes:
    return RECORD.pack(kind, 7, line, b"9", user, host, 0, 1_000, 500)


def append(path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_a_record_is_as_long_as_glibcs():
    assert RECORD.size == 384


def test_a_session_begins_and_ends(tmp_path, files):
    append(tmp_path / GOOD, record(USER_PROCESS, b"pts/0", b"anna", b"192.0.2.1"))
    append(tmp_path / GOOD, record(DEAD_PROCESS, b"pts/0"))
    append(tmp_path / GOOD, record(DEAD_PROCESS, b"pts/0") + record(2, b"~", b"reboot"))
    on, off = (sign.told for sign in files.signs())
    assert (on.kind, on.user, on.remote_host) == (LogonKind.LOGON, "anna", "192.0.2.1")
    assert (on.service, on.tty, on.time_ns) == ("sshd", "pts/0", 1_000_000_500_000)
    assert (off.kind, off.user, off.tty) == (LogonKind.LOGOFF, "anna", "pts/0")


def test_failures_are_in_a_file_of_their_own(tmp_path, files):
    append(tmp_path / BAD, record(6, b"ssh:notty", b"bob", b"192.0.2.1"))
    append(tmp_path / BAD, record(6, b"tty1", b"anna"))
    first, second = (sign.told for sign in files.signs())
    assert (first.kind, first.service, first.tty) == (LogonKind.FAILED, "sshd", "")
    assert (second.service, second.tty, second.user) == ("login", "tty1", "anna")


def test_whether_there_is_one(tmp_path, files):
    assert files.exists()
    assert not UtmpFiles(tmp_path / "none").exists()
