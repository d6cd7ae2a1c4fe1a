"""From logons to events: `windowsevent`, as the log of a Linux system has them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.agent.enrich.fields import actor_fields
from deodar.agent.enrich.registry import converts
from deodar.agent.sensors.logon_acts import Logon, LogonKind

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.enrich.registry import Event

INTERACTIVE, NEW_CREDENTIALS, REMOTE_INTERACTIVE = 2, 9, 10
"""Values of the field LogonType."""
_TYPES = {
    "sshd": REMOTE_INTERACTIVE,
    "su": NEW_CREDENTIALS,
    "su-l": NEW_CREDENTIALS,
    "sudo": NEW_CREDENTIALS,
    "sudo-i": NEW_CREDENTIALS,
}
MAXIMUM_PASSWD = 4 << 20
CACHED = 256


@converts(Logon, "windowsevent")
def logon(context: Context, record: Logon) -> Event:
    """Somebody logged on or off, or was not let in."""
    failed = record.kind is LogonKind.FAILED
    uid = record.uid if record.uid is not None else _uid(context, record)
    fields = actor_fields(context, record)
    fields |= {
        "LinuxEventType": record.kind.value,
        "LinuxOperationResult": "failure" if failed else "success",
        "TargetUserName": record.user,
        "TargetUid": uid,
        "LogonService": record.service,
        "LogonReason": record.reason,
        "LogonRemoteHost": record.remote_host,
        "LogonRequestedBy": record.by,
        "LogonType": _TYPES.get(record.service, INTERACTIVE),
    }
    if record.tty:
        fields["Tty"] = record.tty
    if record.session_id is not None:
        fields["LogonSessionId"] = record.session_id
    return fields


def _uid(context: Context, record: Logon) -> int | None:
    """Return the account's number, by the accounts of the root folder that the process sees."""
    process = context.processes.find(record.key)
    roots = [f"/proc/{record.key.pid}/root"] if record.key.pid else []
    if process is None or not process.container_id:
        roots.append("")  # the process may be gone, but it was one of the host itself
    for root in roots:
        path = Path(f"{root}/etc/passwd")
        try:
            status = path.stat()
            stamp = (status.st_dev, status.st_ino, status.st_mtime_ns)
            if status.st_size <= MAXIMUM_PASSWD:
                return _look_up(path, stamp, record.user)
        except OSError:
            continue
    return None


@lru_cache(CACHED)
def _look_up(path: Path, _stamp: tuple[int, ...], user: str) -> int | None:
    """Return a user's number in a passwd file; `_stamp` tells one state of it from another."""
    for line in path.read_bytes().splitlines():
        name, _, rest = line.partition(b":")
        if name == user.encode() and (number := rest.split(b":")[1:2]) and number[0].isdigit():
            return int(number[0])
    return None
