"""Records of people who log on and off, or are not let in, and the signs that tell of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from deodar.agent.sensors.base import Act


class LogonKind(Enum):
    """What happened; the values are those of the field LinuxEventType."""

    LOGON = "UserLogon"
    LOGOFF = "UserLogoff"
    FAILED = "UserLogonFailed"


@dataclass(slots=True)
class Logon(Act):
    """Somebody logged on or off, or was not let in; `key` is the process that decided it."""

    kind: LogonKind
    service: str
    """What let in, or did not, as PAM names it: "sshd", "login", "su", "sudo", ..."""
    user: str
    """The account that was wanted: as it was given, when there is no such account."""
    remote_host: str = ""
    tty: str = ""
    """As in /dev, such as "pts/0"; "" for none."""
    by: str = ""
    """The account that asked, where another one did: with su and sudo."""
    reason: str = ""
    uid: int | None = None
    session_id: int | None = None
    """Audit session; None when it is not known."""


@dataclass(slots=True)
class LogonSign(Act):
    """A source beside the kernel tells of a logon, which others may have told of as well."""

    source: str
    """"journal", "log", "utmp", "audit"."""
    told: Logon
    weak: bool = False
    """It only counts when nobody told of the same attempt, be it minutes ago."""
    attempt: str = ""
    """What signs of one attempt have in common, such as the client's address and port."""


class PamFunction(IntEnum):
    """Functions of libpam; the numbers are those of bpf/pam_records.h."""

    AUTHENTICATE = 1
    ACCOUNT = 2
    OPEN_SESSION = 3
    CLOSE_SESSION = 4


@dataclass(slots=True)
class PamCall(Act):
    """A call of libpam came back."""

    function: PamFunction
    result: int
    """0 for success; else a number of <security/_pam_types.h>."""
    service: str
    user: str
    remote_host: str
    asking_user: str
    tty: str
    uid: int
    login_uid: int | None = None
    """As it is after the call."""
    session_id: int | None = None
