from __future__ import annotations

import pytest

from deodar.agent.sensors.logon_acts import LogonKind
from deodar.agent.watch.log_lines import LogLine, sign_of

ON, OFF, FAILED = LogonKind.LOGON, LogonKind.LOGOFF, LogonKind.FAILED
STRONG, WEAK = False, True


def read(program: str, message: str, *, trusted: bool = True):
    return sign_of(LogLine(5, program, 7, message, "journal", trusted))


@pytest.mark.parametrize(
    ("program", "message", "kind", "weak", "service", "user", "host", "attempt"),
    [
        ("sshd", "Accepted publickey for anna from ::1 port 60 ssh2: ED25519 SHA256:x",
         ON, STRONG, "sshd", "anna", "::1", "::1 60"),
        ("sshd-session", "Failed password for anna from 192.0.2.1 port 60 ssh2",
         FAILED, STRONG, "sshd", "anna", "192.0.2.1", "192.0.2.1 60"),
        ("sshd", "Failed password for invalid user a b from 192.0.2.1 port 60 ssh2",
         FAILED, STRONG, "sshd", "a b", "192.0.2.1", "192.0.2.1 60"),
        ("sshd", "Connection closed by authenticating user anna 192.0.2.1 port 60 [preauth]",
         FAILED, WEAK, "sshd", "anna", "192.0.2.1", "192.0.2.1 60"),
        ("sshd", "Connection reset by invalid user bob 192.0.2.1 port 60 [preauth]",
         FAILED, WEAK, "sshd", "bob", "192.0.2.1", "192.0.2.1 60"),
        ("sshd", ("Disconnecting authenticating user anna 192.0.2.1 port 60: Too many "
         "authentication failures [preauth]"), FAILED, WEAK, "sshd", "anna", "192.0.2.1",
         "192.0.2.1 60"),
        ("sshd", "User root from 192.0.2.1 not allowed because not listed in AllowUsers",
         FAILED, WEAK, "sshd", "root", "192.0.2.1", ""),
        ("sshd", "Disconnected from user anna 192.0.2.1 port 60",
         OFF, WEAK, "sshd", "anna", "192.0.2.1", "192.0.2.1 60"),
        ("sshd", "pam_unix(sshd:session): session closed for user anna",
         OFF, STRONG, "sshd", "anna", "", ""),
        ("login", "FAILED LOGIN (1) on '/dev/pts/2' FOR 'anna', Authentication failure",
         FAILED, WEAK, "login", "anna", "", ""),
        ("su", "FAILED SU (to root) anna on pts/2", FAILED, WEAK, "su", "root", "", ""),
        ("sudo", "    anna : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root",
         FAILED, WEAK, "sudo", "anna", "", ""),
        ("sudo", "   bruno : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/x",
         FAILED, STRONG, "sudo", "bruno", "", ""),
        ("login", "pam_unix(login:session): session opened for user anna(uid=1000) by (uid=0)",
         ON, STRONG, "login", "anna", "", ""),
        ("gdm-session-wor", "pam_unix(gdm-password:session): session opened for user anna by (u",
         ON, STRONG, "gdm-password", "anna", "", ""),
        ("su", ("pam_unix(su:auth): authentication failure; logname=anna uid=1000 euid=0 "
         "tty=/dev/pts/1 ruser=anna rhost=  user=root"), FAILED, STRONG, "su", "root", "", ""),
    ],
)  # fmt: skip
def test_what_a_line_says(program, message, kind, weak, service, user, host, attempt):
    sign = read(program, message)
    told = sign.told
    assert (told.kind, sign.weak, told.service, told.user) == (kind, weak, service, user)
    assert (told.remote_host, sign.attempt, told.key.pid) == (host, attempt, 7)
    assert bool(told.reason) is (kind is FAILED)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("sshd", "Server listening on 0.0.0.0 port 22."),
        ("sshd", "Invalid user bob from 192.0.2.1 port 60"),  # its failures, or its end, follow
        ("sshd", "Connection closed by 192.0.2.1 port 60 [preauth]"),  # nobody gave a name
        ("sshd", "pam_unix(sshd:session): session opened for user anna by (uid=0)"),  # "Accepted"
        ("sudo", "    anna : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/id"),
        ("cron", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"),
        ("systemd", "pam_unix(systemd-user:session): session closed for user anna"),
        ("backup", "Accepted password for root from 192.0.2.66 port 1 ssh2"),
        ("chpasswd", "pam_unix(chpasswd:chauthtok): password changed for anna"),
    ],
)
def test_what_says_nothing_of_a_logon(program, message):
    assert read(program, message) is None


def test_what_anybody_could_have_written_is_not_believed():
    text = "Accepted password for root from 192.0.2.66 port 1 ssh2"
    assert read("sshd", text, trusted=False) is None


def test_the_terminal_and_who_asked_are_read():
    sign = read("su", "FAILED SU (to root) anna on pts/2")
    assert (sign.told.tty, sign.told.by) == ("pts/2", "anna")
