"""One event for one logon, whoever tells. With real logons it is tested in tests/e2e."""

from __future__ import annotations

import pytest

from deodar.agent.gather.logons import HELD_FAILED, MOST_HELD, PROCESS_ENDED, LogonGatherer
from deodar.agent.sensors.base import Exit, ProcessKey
from deodar.agent.sensors.logon_acts import Logon, LogonKind, LogonSign, PamCall, PamFunction

KEY, OTHER = ProcessKey(70, 10_000_000), ProcessKey(71, 20_000_000)
SECOND = 1_000_000_000


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def gatherer(context, now) -> LogonGatherer:
    return LogonGatherer(context, lambda: now[0])


def call(function: PamFunction, at: int = 0, result: int = 0, key=KEY, **more) -> PamCall:
    told = {"session_id": None} | more
    return PamCall(
        at, key, function, result, "sshd", "anna", "192.0.2.1", "", "ssh", 0, 1000,
        told["session_id"],
    )  # fmt: skip


def sign(kind: LogonKind, at: int = 0, *, weak: bool = False, user: str = "anna") -> LogonSign:
    key = ProcessKey(0, 0)
    told = Logon(at, key, kind, "sshd", user, "192.0.2.1", reason="of the log")
    return LogonSign(at, key, "log", told, weak)


def kinds(records) -> list[LogonKind]:
    return [record.kind for record in records]


def test_what_libpam_does_goes_on_at_once(gatherer):
    (logon,) = gatherer.take(call(PamFunction.OPEN_SESSION, session_id=4))
    assert (logon.kind, logon.session_id, logon.key) == (LogonKind.LOGON, 4, KEY)
    (logoff,) = gatherer.take(call(PamFunction.CLOSE_SESSION, 9))
    assert (logoff.kind, logoff.session_id) == (LogonKind.LOGOFF, 4)
    assert gatherer.waiting == 0


def test_the_log_tells_nothing_that_libpam_told(gatherer, now):
    gatherer.take(sign(LogonKind.LOGON, 1 * SECOND))
    assert kinds(gatherer.take(call(PamFunction.OPEN_SESSION, 2 * SECOND))) == [LogonKind.LOGON]
    gatherer.take(sign(LogonKind.FAILED, 3 * SECOND))
    assert gatherer.due(now[0]) == []
    assert kinds(gatherer.due(now[0] + HELD_FAILED)) == [LogonKind.FAILED]


def test_as_many_failures_are_told_as_there_were(gatherer, now):
    for at in (1, 2):
        assert len(gatherer.take(call(PamFunction.AUTHENTICATE, at * SECOND, 7))) == 1
    for at in (1, 2, 3):
        gatherer.take(sign(LogonKind.FAILED, at * SECOND))
    assert len(gatherer.due(now[0] + HELD_FAILED)) == 1


def test_libpam_tells_nothing_that_the_log_told_long_before(gatherer, now):
    """It comes back from a failure only after a delay, which a busy host makes longer."""
    gatherer.take(sign(LogonKind.FAILED, 1 * SECOND))
    assert kinds(gatherer.due(now[0] + HELD_FAILED)) == [LogonKind.FAILED]
    assert gatherer.take(call(PamFunction.AUTHENTICATE, 8 * SECOND, 7)) == ()
    assert kinds(gatherer.take(call(PamFunction.AUTHENTICATE, 9 * SECOND, 7))) == [LogonKind.FAILED]


def test_other_users_are_other_logons(gatherer, now):
    gatherer.take(call(PamFunction.AUTHENTICATE, SECOND, 7))
    gatherer.take(sign(LogonKind.FAILED, SECOND, user="bruno"))
    assert [logon.user for logon in gatherer.due(now[0] + HELD_FAILED)] == ["bruno"]


def test_a_weak_sign_counts_only_when_there_is_no_other_of_the_same_attempt(gatherer, now):
    gatherer.take(call(PamFunction.AUTHENTICATE, SECOND, 7))
    gatherer.take(sign(LogonKind.FAILED, 60 * SECOND, weak=True))
    assert gatherer.due(now[0] + HELD_FAILED) == []
    gatherer.take(sign(LogonKind.FAILED, 300 * SECOND, weak=True))
    gatherer.take(sign(LogonKind.FAILED, 301 * SECOND, weak=True))
    assert len(gatherer.due(now[0] + HELD_FAILED)) == 1


def test_a_session_is_over_when_its_process_ends(gatherer):
    gatherer.take(call(PamFunction.OPEN_SESSION, session_id=4))
    (logoff,) = gatherer.see(Exit(9 * SECOND, KEY))
    assert (logoff.kind, logoff.reason, logoff.session_id) == (LogonKind.LOGOFF, PROCESS_ENDED, 4)
    assert logoff.remote_host == "192.0.2.1"
    assert gatherer.see(Exit(10 * SECOND, KEY)) == []
    # a helper process closes it a little later: told already
    assert gatherer.take(call(PamFunction.CLOSE_SESSION, 11 * SECOND, key=OTHER)) == ()


def test_a_session_that_another_process_closes_is_over_once(gatherer):
    gatherer.take(call(PamFunction.OPEN_SESSION))
    assert len(gatherer.take(call(PamFunction.CLOSE_SESSION, 1, key=OTHER))) == 1
    assert gatherer.see(Exit(2, KEY)) == []


def test_a_session_that_was_open_before_the_agent_is_over_too(gatherer):
    assert kinds(gatherer.take(call(PamFunction.CLOSE_SESSION))) == [LogonKind.LOGOFF]


def test_nothing_is_held_beyond_the_last(gatherer):
    gatherer.take(sign(LogonKind.LOGON))
    assert kinds(gatherer.due(0.0, last=True)) == [LogonKind.LOGON]
    assert gatherer.waiting == 0


def test_what_does_not_fit_goes_on_early(gatherer):
    early = []
    for number in range(MOST_HELD + 5):
        early += gatherer.take(sign(LogonKind.FAILED, number * 10 * SECOND))
    assert len(early) == 5
    assert gatherer.waiting == MOST_HELD
