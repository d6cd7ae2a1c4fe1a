"""What several sources tell is made one in tests/agent/gather; whole machines are in tests/e2e."""

from __future__ import annotations

import msgspec
import pytest
from tests.agent.watch.journal_writer import Writer

from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.logon_acts import LogonKind
from deodar.agent.watch.logons import CHOOSE_EVERY, LogonWatcher, RootLog, logon_watcher

LINE = "Nov 28 01:42:01 host sshd[98]: Accepted password for anna from 192.0.2.1 port 6 ssh2\n"


def make_log(root):
    path = root / "var/log/auth.log"
    path.parent.mkdir(parents=True)
    path.write_text("")
    return path


def make_journal(root) -> Writer:
    folder = root / "run/log/journal/0123"
    folder.mkdir(parents=True)
    return Writer(folder / "system.journal", compact=True)


def test_what_is_written_is_told(tmp_path, until):
    path, told = make_log(tmp_path), []
    watcher = LogonWatcher([tmp_path], every=0.02)
    watcher.open(told.extend)
    assert watcher.covers == "logons (log)"
    path.write_text(LINE)
    until(lambda: told)
    watcher.close()
    (sign,) = told
    assert (sign.told.kind, sign.told.user, sign.source) == (LogonKind.LOGON, "anna", "log")


def test_what_was_written_just_before_the_stop_is_told(tmp_path):
    path, told = make_log(tmp_path), []
    watcher = LogonWatcher([tmp_path], every=60)
    watcher.open(told.extend)
    path.write_text(LINE)
    watcher.close()
    assert len(told) == 1


def test_the_journal_is_preferred_and_taken_when_it_comes_up(tmp_path):
    make_log(tmp_path)
    log = RootLog(tmp_path)
    log.choose()
    assert log.name == "log"
    writer = make_journal(tmp_path)
    writer.entry(1, MESSAGE="old", SYSLOG_FACILITY="4", _EXE="/usr/sbin/sshd", _UID="0")
    log.choose()
    assert (log.name, log.signs()) == ("journal", [])
    text = "Accepted password for anna from 192.0.2.1 port 6 ssh2"
    writer.entry(2, MESSAGE=text, SYSLOG_FACILITY="10", _EXE="/usr/sbin/sshd", _UID="0")
    assert [sign.told.user for sign in log.signs()] == ["anna"]
    log.close()
    assert CHOOSE_EVERY > 1


def test_a_host_without_any_says_so(tmp_path):
    with pytest.raises(SensorUnavailable, match="neither a journal"):
        LogonWatcher([tmp_path]).open(list)


def test_the_root_of_the_settings_is_read(settings, tmp_path):
    make_log(tmp_path)
    watch = msgspec.structs.replace(settings.watch, root=str(tmp_path))
    watcher = logon_watcher(msgspec.structs.replace(settings, watch=watch), tmp_path)
    watcher.open(list)
    watcher.close()
    assert watcher.covers == "logons (log)"
