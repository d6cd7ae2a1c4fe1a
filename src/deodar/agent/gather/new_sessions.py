"""Audit sessions that nobody told of: a logon past libpam and the log still gets a new number.

The kernel counts up when a login uid is set, and every process below has that number.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from deodar.agent.sensors.base import Exec, Fork, ProcessKey
from deodar.agent.sensors.logon_acts import Logon, LogonKind, LogonSign

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context

MOST_SESSIONS = 8192
MOST_PARENTS = 8
NOBODY = frozenset({"cron", "crond", "anacron", "atd", "systemd", "systemd-executor"})
"""Programs that set a login uid for jobs and services, which are nobody's logon."""


class NewSessions:
    """Knows every audit session that a process was seen in."""

    source = "audit"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: OrderedDict[int, str] = OrderedDict()
        """Sessions, and who told of each: "" for those that were only seen."""
        self._began = False

    def know(self, session_id: int) -> None:
        """Note that a session was told of."""
        self._known[session_id] = "told"
        if len(self._known) > MOST_SESSIONS:
            self._known.popitem(last=False)

    def is_known(self, logon: Logon) -> bool:
        """Whether somebody told of a logon's session."""
        return logon.session_id is None or bool(self._known.get(logon.session_id))

    def see(self, record: Exec | Fork) -> LogonSign | None:
        """Return a sign when a process is the first that is seen in its session."""
        session = record.session_id
        if session is None or session in self._known:
            return None
        if not self._began:
            self._begin()
            if session in self._known:
                return None
        self._known[session] = ""
        if len(self._known) > MOST_SESSIONS:
            self._known.popitem(last=False)
        return self._sign(record, session)

    def _begin(self) -> None:
        """Take the sessions of all processes that are there already as known."""
        self._began = True
        for process in self._context.processes:
            if process.session_id is not None:
                self.know(process.session_id)

    def _sign(self, record: Exec | Fork, session: int) -> LogonSign | None:
        key, parent = (record.child if isinstance(record, Fork) else record.key), record.parent
        service = self._opener(parent)
        if service in NOBODY:
            return None
        user = self._context.users.name(record.login_uid)
        logon = Logon(
            record.time_ns, key, LogonKind.LOGON, service, user,
            uid=record.login_uid, session_id=session,
        )  # fmt: skip
        return LogonSign(record.time_ns, key, self.source, logon)

    def _opener(self, key: ProcessKey) -> str:
        """Return the name of the nearest program above that is not in a session itself."""
        process = self._context.processes.find(key)
        for _ in range(MOST_PARENTS):
            if process is None or process.session_id is None:
                break
            process = self._context.processes.get(process.parent)
        return PurePosixPath(process.image.exe).name if process is not None else ""
