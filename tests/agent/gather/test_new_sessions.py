from __future__ import annotations

import pytest

from deodar.agent.enrich.processes import Image, Process
from deodar.agent.gather.logons import HELD, LogonGatherer
from deodar.agent.gather.new_sessions import NewSessions
from deodar.agent.sensors.base import Exec, Fork, ProcessKey
from deodar.agent.sensors.logon_acts import LogonKind, PamCall, PamFunction

DAEMON, CHILD, SHELL = (ProcessKey(number, number * 10_000_000) for number in (81, 82, 83))


@pytest.fixture
def daemon(context):
    """Put a daemon into the table; returns a function that renames it."""

    def name(exe: str) -> None:
        context.processes.put(Process(DAEMON, image=Image(exe=exe, looked_up=True)))

    name("/usr/sbin/dropbear")
    return name


def fork(session: int | None = 12) -> Fork:
    return Fork(5, CHILD, DAEMON, login_uid=0, session_id=session)


def test_a_new_session_is_a_sign_of_a_logon(context, daemon):
    sign = NewSessions(context).see(fork())
    assert sign.told.kind is LogonKind.LOGON
    assert (sign.told.service, sign.told.user, sign.told.session_id) == ("dropbear", "root", 12)
    assert sign.key == CHILD


def test_a_second_shell_in_it_is_none(context, daemon):
    sessions = NewSessions(context)
    assert sessions.see(fork()) is not None
    assert sessions.see(Exec(6, SHELL, CHILD, [b"bash"], login_uid=0, session_id=12)) is None


def test_sessions_from_before_are_no_news(context, daemon):
    context.processes.put(Process(SHELL, session_id=12))
    assert NewSessions(context).see(fork()) is None


@pytest.mark.parametrize("exe", ["/usr/sbin/cron", "/lib/systemd/systemd", "/usr/sbin/atd"])
def test_jobs_are_nobodys_logon(context, daemon, exe):
    daemon(exe)
    assert NewSessions(context).see(fork()) is None


def test_no_session_is_no_sign(context, daemon):
    assert NewSessions(context).see(fork(None)) is None


@pytest.mark.parametrize(("told", "wanted"), [(True, 0), (False, 1)])
def test_it_only_counts_when_libpam_did_not_tell(context, daemon, told, wanted):
    gatherer = LogonGatherer(context, lambda: 1.0)
    gatherer.see(fork())
    if told:
        opened = PamFunction.OPEN_SESSION
        gatherer.take(PamCall(4, DAEMON, opened, 0, "login", "root", "", "", "tty1", 0, 0, 12))
    assert len(gatherer.due(1.0 + HELD)) == wanted
