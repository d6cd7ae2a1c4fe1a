from __future__ import annotations

import pytest

from deodar.agent.gather.pam_meaning import logon_of
from deodar.agent.sensors.base import ProcessKey
from deodar.agent.sensors.logon_acts import Logon, LogonKind, PamCall, PamFunction

F = PamFunction


def call(function: PamFunction, result: int = 0, service: str = "sshd") -> PamCall:
    return PamCall(
        5, ProcessKey(7, 9), function, result, service, "anna", "192.0.2.1", "bruno", "ssh",
        0, 1000, 3,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("function", "result", "kind", "reason"),
    [
        (F.OPEN_SESSION, 0, LogonKind.LOGON, ""),
        (F.CLOSE_SESSION, 0, LogonKind.LOGOFF, ""),
        (F.CLOSE_SESSION, 14, LogonKind.LOGOFF, ""),
        (F.AUTHENTICATE, 7, LogonKind.FAILED, "authentication failure"),
        (F.AUTHENTICATE, 10, LogonKind.FAILED, "unknown user"),
        (F.ACCOUNT, 13, LogonKind.FAILED, "the account has expired or is locked"),
        (F.ACCOUNT, 6, LogonKind.FAILED, "permission denied"),
        (F.OPEN_SESSION, 14, LogonKind.FAILED, "no session could be opened"),
        (F.AUTHENTICATE, 99, LogonKind.FAILED, "PAM error 99"),
    ],
)
def test_what_a_call_means(function, result, kind, reason):
    assert logon_of(call(function, result)) == Logon(
        5, ProcessKey(7, 9), kind, "sshd", "anna", "192.0.2.1", "ssh", "bruno", reason, None, 3
    )


@pytest.mark.parametrize(
    ("function", "result"),
    [(F.AUTHENTICATE, 0), (F.ACCOUNT, 0), (F.ACCOUNT, 12), (F.AUTHENTICATE, 19)],
)
def test_what_is_no_news(function, result):
    """A password that is right, but no session yet; one that has to be changed; no answer."""
    assert logon_of(call(function, result)) is None


@pytest.mark.parametrize("service", ["cron", "atd", "systemd-user", "runuser"])
@pytest.mark.parametrize("function", list(F))
def test_jobs_and_service_managers_are_no_people(service, function):
    assert logon_of(call(function, 0, service)) is None
    assert logon_of(call(function, 7, service)) is None
