"""What the log's lines of sshd, login, su, sudo and pam_unix say about logons.

A line is strong when it says all by itself that something happened, and weak when another line of
the same attempt may have said it before. Texts as in OpenSSH 8 to 10, util-linux, sudo 1.8 and
1.9, and Linux-PAM.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from deodar.agent.gather.pam_meaning import NOBODY
from deodar.agent.sensors.base import ProcessKey
from deodar.agent.sensors.logon_acts import Logon, LogonKind, LogonSign

SERVERS = frozenset({"sshd", "sshd-session", "sshd-auth"})
PROGRAMS = SERVERS | {"su", "sudo", "login"}
"""Programs whose word is taken; the name is that of the program's file, or of the line's tag."""
LONGEST = 4096


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log."""

    time_ns: int
    program: str
    pid: int
    """0 when it is not known, or counts in another pid namespace."""
    message: str
    source: str
    trusted: bool = True
    """Whether only root or one of `PROGRAMS` can have written it, as far as can be known."""


@dataclass(frozen=True, slots=True)
class Saying:
    """One form of line: what it means, and which programs say it."""

    pattern: re.Pattern[str]
    programs: frozenset[str]
    """Empty for any."""
    kind: LogonKind
    reason: str = ""
    weak: bool = False


def _saying(
    programs: frozenset[str] | str,
    kind: LogonKind,
    pattern: str,
    *,
    reason: str = "",
    weak: bool = False,
) -> Saying:
    named = frozenset({programs}) if isinstance(programs, str) else programs
    return Saying(re.compile(pattern), named, kind, reason, weak)


_FROM = r"(?P<host>\S+) port (?P<port>\d+)"
_ENDS = r"(?:Connection (?:closed|reset) by|Disconnected from|Disconnecting)"
_LOGON, _LOGOFF, _FAILED = LogonKind.LOGON, LogonKind.LOGOFF, LogonKind.FAILED
SAYINGS = (
    _saying(SERVERS, _LOGON, rf"Accepted \S+ for (?P<user>\S+) from {_FROM}"),
    _saying(
        SERVERS, _FAILED, rf"Failed \S+ for invalid user (?P<user>.*) from {_FROM}",
        reason="unknown user",
    ),
    _saying(
        SERVERS, _FAILED, rf"Failed (?P<way>\S+) for (?P<user>.+) from {_FROM}",
        reason="authentication failure",
    ),
    _saying(
        SERVERS, _FAILED, r"User (?P<user>\S+) from (?P<host>\S+) not allowed because (?P<why>.+)",
        weak=True,
    ),
    _saying(
        SERVERS, _FAILED, rf"{_ENDS} invalid user (?P<user>.*) {_FROM}.*\[preauth\]",
        reason="unknown user", weak=True,
    ),
    _saying(
        SERVERS, _FAILED, rf"{_ENDS} authenticating user (?P<user>\S+) {_FROM}.*\[preauth\]",
        reason="no valid key or password was given", weak=True,
    ),
    _saying(
        SERVERS, _LOGOFF, rf"Disconnected from user (?P<user>\S+) {_FROM}", weak=True
    ),
    _saying(
        "login", _FAILED, r"FAILED LOGIN.* on '(?P<tty>\S*)'.* FOR '(?P<user>.*)', (?P<why>.+)",
        weak=True,
    ),
    _saying(
        "su", _FAILED, r"FAILED SU \(to (?P<user>\S+)\) (?P<by>\S+) on (?P<tty>\S+)", weak=True,
        reason="authentication failure",
    ),
    _saying(
        "sudo", _FAILED, r" *(?P<user>\S+) : \d+ incorrect password attempts? ;", weak=True,
        reason="authentication failure",
    ),
    _saying(
        "sudo", _FAILED,
        r" *(?P<user>\S+) : (?P<why>user NOT in sudoers|command not allowed|user NOT authorized "
        r"on host)",
    ),
    _saying(
        frozenset(), _LOGON,
        r"pam_unix\((?P<service>(?!sshd:)[^:)]+):session\): session opened for user "
        r"(?P<user>[^ (]+)",
    ),
    _saying(
        frozenset(), _LOGOFF,
        r"pam_unix\((?P<service>[^:)]+):session\): session closed for user (?P<user>[^ (]+)",
    ),
    _saying(
        frozenset(), _FAILED,
        r"pam_unix\((?P<service>(?!sshd:)[^:)]+):auth\): authentication failure; .*"
        r"tty=(?P<tty>\S*) ruser=(?P<by>\S*) rhost=(?P<host>\S*)(?: +user=(?P<user>\S+))?",
        reason="authentication failure",
    ),
)  # fmt: skip


def sign_of(line: LogLine) -> LogonSign | None:
    """Return what a line says of a logon; None when it says nothing, or anybody could say it."""
    message = line.message[:LONGEST]
    for saying in SAYINGS:
        if saying.programs and line.program not in saying.programs:
            continue
        found = saying.pattern.match(message)
        if found is not None:
            return _sign(line, saying, found.groupdict(""))
    return None


def _sign(line: LogLine, saying: Saying, said: dict[str, str]) -> LogonSign | None:
    service = said.get("service") or ("sshd" if line.program in SERVERS else line.program)
    if service in NOBODY or not line.trusted:
        return None
    key = ProcessKey(line.pid, 0)
    tty = said.get("tty", "").removeprefix("/dev/")
    logon = Logon(
        line.time_ns, key, saying.kind, service, said.get("user", ""),
        remote_host=said.get("host", ""),
        tty="" if tty == "none" else tty,
        by=said.get("by", ""),
        reason=said.get("why", saying.reason),
    )  # fmt: skip
    attempt = f"{logon.remote_host} {said['port']}" if said.get("port") else ""
    return LogonSign(line.time_ns, key, line.source, logon, saying.weak, attempt)
