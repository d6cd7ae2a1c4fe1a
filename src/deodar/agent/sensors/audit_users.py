"""What libpam itself tells the audit system: single records, of the types USER_AUTH and the like.

They mean what the probes on libpam mean (sensors/parts/pam.py), so they become the same record. The
service is the program's name here, for libpam does not tell its own. Formats as libpam writes them:
``pid=7 uid=0 auid=4294967295 ses=4294967295 msg='op=PAM:authentication acct="anna"
exe="/usr/sbin/sshd" hostname=192.0.2.1 addr=192.0.2.1 terminal=ssh res=failed'``.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from deodar.agent.sensors.audit_records import parse_fields, split_stamp, unquote
from deodar.agent.sensors.base import NOT_SET
from deodar.agent.sensors.errors import MalformedRecord
from deodar.agent.sensors.logon_acts import PamCall, PamFunction

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.sensors.base import ProcessKey

USER_AUTH, USER_ACCT, USER_START, USER_END = 1100, 1101, 1105, 1106
KINDS = frozenset({USER_AUTH, USER_ACCT, USER_START, USER_END})
_FUNCTIONS = {
    "PAM:authentication": (PamFunction.AUTHENTICATE, 7),
    "PAM:accounting": (PamFunction.ACCOUNT, 6),
    "PAM:session_open": (PamFunction.OPEN_SESSION, 14),
    "PAM:session_close": (PamFunction.CLOSE_SESSION, 14),
}
"""What was asked of libpam, and the result that stands for "failed": audit does not tell it."""
_SERVICES = dict.fromkeys(("systemd", "systemd-executor", "(systemd)"), "systemd-user")
"""Programs whose service has another name."""


def pam_call(text: str, key_of: Callable[[int, int], ProcessKey]) -> PamCall | None:
    """Return the call that a record of `KINDS` tells of; None when it is not of libpam.

    `key_of` gets a pid and the time in ns since the epoch. Raises MalformedRecord.
    """
    time_ns, _, rest = split_stamp(text)
    about, _, message = rest.partition("msg='")
    try:
        said = parse_fields(message.rpartition("'")[0])
        found = _FUNCTIONS.get(said.get("op", ""))
        if found is None:
            return None
        function, failed = found
        by = parse_fields(about)
        pid = int(by["pid"])
        program = PurePosixPath(_name(said["exe"])).name
        return PamCall(
            time_ns, key_of(pid, time_ns), function, 0 if said["res"] == "success" else failed,
            _SERVICES.get(program, program), _name(said["acct"]), _address(said), "",
            _text(said.get("terminal", "?")).removeprefix("/dev/"), int(by["uid"]),
            _optional(by["auid"]), _optional(by["ses"]),
        )  # fmt: skip
    except (ValueError, KeyError) as error:
        raise MalformedRecord(f"audit record of libpam: {error}") from error


def _address(said: dict[str, str]) -> str:
    """Return where it came from: the address, or the name if there is no address."""
    return _text(said.get("addr", "?")) or _text(said.get("hostname", "?"))


def _name(value: str) -> str:
    """Return a value that a user could choose: it is in quotes, or in hex."""
    return unquote(value).decode("utf-8", "backslashreplace")


def _text(value: str) -> str:
    """Return a plain value; "?" stands for none."""
    return "" if value in ("?", "(null)", "(none)") else value


def _optional(value: str) -> int | None:
    number = int(value)
    return None if number == NOT_SET else number
