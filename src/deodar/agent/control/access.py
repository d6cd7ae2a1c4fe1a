"""Who may use the control socket: root, the agent's own account, and the members of one group.

The kernel tells who is at the other end, as of when it connected (SO_PEERCRED in unix(7)).
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from typing import TYPE_CHECKING

from deodar.agent.control.errors import ControlError

if TYPE_CHECKING:
    from pathlib import Path

SO_PEERGROUPS = 59
"""The other end's further groups; Linux 4.13 and later, asm-generic/socket.h."""
FOLDER_MODE = 0o710
SOCKET_MODE = 0o660

_CREDENTIALS = struct.Struct("iII")
_MOST_GROUPS = 256


class Access:
    """The rule, for one group or none (""). Raises ControlError for a group that is not there."""

    def __init__(self, group: str = "") -> None:
        self._group = group
        self._gid = None if not group else _gid(group)
        self._own = os.geteuid()

    def open_to_group(self, path: Path) -> None:
        """Let the group find and use the socket; raises ControlError."""
        folder = path.parent
        try:
            if self._gid is not None:
                os.chown(folder, -1, self._gid)
                folder.chmod(FOLDER_MODE)
                os.chown(path, -1, self._gid)
                path.chmod(SOCKET_MODE)
            elif folder.stat().st_mode & 0o777 == FOLDER_MODE:  # left from a group before
                folder.chmod(0o700)
        except OSError as error:
            raise ControlError(
                f"the group {self._group} cannot be given the socket {path}: {error.strerror}"
            ) from error

    def refusal(self, connection: socket.socket) -> str:
        """Return why the other end may not use the socket; "" if it may."""
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, gid = _CREDENTIALS.unpack(raw)
        if uid in (0, self._own):
            return ""
        if self._gid is not None and self._gid in (gid, *groups_of(connection, uid, gid)):
            return ""
        who = f"root or a member of the group {self._group}" if self._group else "root"
        return f"user {uid} may not control the agent; be {who}"


def groups_of(connection: socket.socket, uid: int, gid: int) -> list[int]:
    """Return the other end's further groups; those of its account if the kernel does not say."""
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * _MOST_GROUPS)
        return [number for (number,) in struct.iter_unpack("I", raw)]
    except OSError:
        pass
    try:
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except (KeyError, OSError):
        return []


def _gid(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise ControlError(
            f"there is no group {group}; make it with `groupadd --system {group}`, "
            "or correct group under [control] in agent.toml"
        ) from error
