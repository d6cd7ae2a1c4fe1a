"""What a call of libpam means: a logon, its end, a failure, or nothing that concerns a person.

Names of services are those of the files in /etc/pam.d, results those of <security/_pam_types.h>.
"""

from __future__ import annotations

from deodar.agent.sensors.logon_acts import Logon, LogonKind, PamCall, PamFunction

NOBODY = frozenset({
    "cron", "crond", "crontab", "anacron", "atd", "systemd-user", "runuser", "runuser-l",
    "gdm-launch-environment", "lightdm-greeter", "sddm-greeter",
})  # fmt: skip
"""Services that open sessions by themselves: jobs, service managers, greeters, and root's scripts.

Nobody gives a password there, and a cron job each minute would bury the logons of people.
"""

SUCCESS, NEW_PASSWORD_NEEDED, CONVERSATION, IGNORE, ABORT, INCOMPLETE = 0, 12, 19, 25, 26, 31
_NO_ANSWER = frozenset({CONVERSATION, IGNORE, ABORT, INCOMPLETE})
"""Nobody was refused: the asking ended before there was an answer."""

_REASONS = {
    3: "an error in a PAM module",
    4: "an error of the system",
    6: "permission denied",
    7: "authentication failure",
    8: "not allowed to authenticate",
    9: "the authentication service cannot be reached",
    10: "unknown user",
    11: "too many tries",
    NEW_PASSWORD_NEEDED: "the password has to be changed first",
    13: "the account has expired or is locked",
    14: "no session could be opened",
    16: "the password has expired",
    17: "the credentials cannot be set",
    27: "the password has expired",
}


def logon_of(call: PamCall) -> Logon | None:
    """Return what a call tells; None when it is no news of a person's logon."""
    if call.service in NOBODY:
        return None
    kind = _kind(call)
    if kind is None:
        return None
    failed = kind is LogonKind.FAILED
    return Logon(
        call.time_ns,
        call.key,
        kind,
        call.service,
        call.user,
        remote_host=call.remote_host,
        tty=call.tty,
        by=call.asking_user,
        reason=reason(call.result) if failed else "",
        session_id=call.session_id,
    )


def reason(result: int) -> str:
    """Return what a result of PAM means, for people."""
    return _REASONS.get(result, f"PAM error {result}")


def _kind(call: PamCall) -> LogonKind | None:
    if call.function is PamFunction.CLOSE_SESSION:
        return LogonKind.LOGOFF
    if call.function is PamFunction.OPEN_SESSION and call.result == SUCCESS:
        return LogonKind.LOGON
    if call.result == SUCCESS or call.result in _NO_ANSWER:
        return None
    if call.function is PamFunction.ACCOUNT and call.result == NEW_PASSWORD_NEEDED:
        return None  # asked for now, and let in with it
    return LogonKind.FAILED
