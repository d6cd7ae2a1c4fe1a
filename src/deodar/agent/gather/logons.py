"""One event for one logon, whoever tells of it: libpam, the log, or a new audit session.

What libpam does goes on at once: it comes from the kernel, with the process. What others tell waits
a moment, and goes on only if libpam did not tell it too. A session whose process ends without
closing it is over then.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deodar.agent.enrich.identity import to_tick
from deodar.agent.gather.new_sessions import NewSessions
from deodar.agent.gather.pam_meaning import logon_of
from deodar.agent.sensors.base import Exec, Exit, Fork, ProcessKey
from deodar.agent.sensors.logon_acts import Logon, LogonKind, LogonSign, PamCall, PamFunction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deodar.agent.enrich.context import Context
    from deodar.agent.sensors.base import Record
    from deodar.agent.settings import AgentSettings

HELD = 3.0
"""Seconds that a sign waits for libpam to tell the same."""
HELD_FAILED = 6.0
"""The same for failures: libpam comes back from them late on purpose, after up to 4.5 s."""
SAME = 10_000_000_000
"""Ns between two tellings of one thing."""
SAME_ATTEMPT = 130_000_000_000
"""Ns that one attempt to log on may take: sshd gives two minutes by default."""
MOST_HELD = 1024
MOST_TOLD = 4096
MOST_OPEN = 4096
UNKNOWN = "UNKNOWN"
"""What login writes for a name that may be a password."""
PROCESS_ENDED = "its process ended"


@dataclass(slots=True)
class Held:
    """A sign that waits."""

    due: float
    sign: LogonSign


@dataclass(slots=True)
class Told:
    """A logon that went on, and whether the other way has been found to tell the same."""

    logon: Logon
    by_sign: bool = False
    """A strong sign told it, not libpam."""
    repeated: bool = False


class LogonGatherer:
    """Takes what tells of logons and gives each of them once."""

    takes: tuple[type[Any], ...] = (PamCall, LogonSign)
    sees: tuple[type[Any], ...] = (Exec, Fork, Exit)

    def __init__(self, context: Context, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: deque[Held] = deque()
        self._told: deque[Told] = deque(maxlen=MOST_TOLD)
        self._open: OrderedDict[ProcessKey, list[Logon]] = OrderedDict()
        self._attempts: OrderedDict[str, None] = OrderedDict()
        self._sessions = NewSessions(context)

    @property
    def waiting(self) -> int:
        """Signs that are held back."""
        return len(self._held)

    def take(self, record: PamCall | LogonSign) -> Sequence[Record]:
        """Return the logon that a call of libpam is; hold a sign back."""
        if isinstance(record, PamCall):
            return self._call(record)
        return self._hold(record)

    def see(self, record: Exec | Fork | Exit) -> Sequence[Record]:
        """Note new audit sessions, and the end of processes that had opened one."""
        if isinstance(record, Exit):
            return self._ended(record)
        sign = self._sessions.see(record)
        return self._hold(sign) if sign is not None else ()

    def due(self, now: float, *, last: bool = False) -> Sequence[Record]:
        """Return the signs that nobody else told of, when they have waited long enough."""
        ready: list[Record] = []
        while self._held and (last or self._held[0].due <= now):
            ready += self._settle(self._held.popleft().sign)
        return ready

    def _call(self, call: PamCall) -> Sequence[Record]:
        if call.function is PamFunction.OPEN_SESSION and call.session_id is not None:
            self._sessions.know(call.session_id)
        logon = logon_of(call)
        if logon is None:
            return ()
        if logon.kind is LogonKind.LOGOFF and not self._closes(logon):
            return ()
        if logon.kind is LogonKind.LOGON:
            self._opens(logon)
        return () if self._is_repeat(logon, by_sign=False) else self._tell(logon)

    def _opens(self, logon: Logon) -> None:
        self._open.setdefault(to_tick(logon.key), []).append(logon)
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)

    def _closes(self, logoff: Logon) -> bool:
        """Note that a session was closed; returns whether that is news."""
        key = to_tick(logoff.key)
        keys = [key] if key in self._open else reversed(self._open)  # closed by another process
        for opener in keys:
            sessions = self._open[opener]
            for session in sessions:
                if (session.service, session.user) == (logoff.service, logoff.user):
                    sessions.remove(session)
                    if not sessions:
                        del self._open[opener]
                    _complete(logoff, session)
                    return True
        return not any(_tells(one.logon, logoff, SAME) for one in self._told)

    def _ended(self, record: Exit) -> list[Record]:
        sessions = self._open.pop(to_tick(record.key), ()) if self._open else ()
        ended: list[Record] = []
        for session in sessions:
            over = Logon(
                record.time_ns, record.key, LogonKind.LOGOFF, session.service, session.user,
                reason=PROCESS_ENDED,
            )  # fmt: skip
            _complete(over, session)
            ended += self._tell(over)
        return ended

    def _hold(self, sign: LogonSign) -> Sequence[Record]:
        if sign.attempt and not sign.weak:
            self._note_attempt(sign.attempt)
        patience = HELD_FAILED if sign.told.kind is LogonKind.FAILED else HELD
        self._held.append(Held(self._clock() + patience, sign))
        return self._settle(self._held.popleft().sign) if len(self._held) > MOST_HELD else ()

    def _settle(self, sign: LogonSign) -> list[Record]:
        if sign.source == NewSessions.source and self._sessions.is_known(sign.told):
            return []
        if sign.weak:
            return [] if self._was_told(sign) else self._tell(sign.told)
        if self._is_repeat(sign.told, by_sign=True):
            return []
        return self._tell(sign.told, by_sign=True)

    def _is_repeat(self, logon: Logon, *, by_sign: bool) -> bool:
        """Whether the other way told this before; each telling stands for one of the other way."""
        for one in self._told:
            if one.repeated or one.by_sign is by_sign:
                continue
            first, second = (one.logon, logon) if by_sign else (logon, one.logon)
            if _tells(first, second, SAME):
                one.repeated = True
                return True
        return False

    def _was_told(self, sign: LogonSign) -> bool:
        """Whether another sign, or libpam, told of the attempt that a weak one is about."""
        if sign.attempt and sign.told.kind is LogonKind.FAILED:
            known = sign.attempt in self._attempts
            self._note_attempt(sign.attempt)
            return known
        return any(_tells(one.logon, sign.told, SAME_ATTEMPT) for one in self._told)

    def _note_attempt(self, attempt: str) -> None:
        self._attempts[attempt] = None
        if len(self._attempts) > MOST_TOLD:
            self._attempts.popitem(last=False)

    def _tell(self, logon: Logon, *, by_sign: bool = False) -> list[Record]:
        self._told.append(Told(logon, by_sign))
        return [logon]


def _tells(told: Logon, other: Logon, within: int) -> bool:
    """Whether two records are of one thing; `other` may be a sign that does not know the user."""
    return (
        told.kind is other.kind
        and told.service.removesuffix("-l") == other.service.removesuffix("-l")
        and other.user in (told.user, "", UNKNOWN)
        and abs(told.time_ns - other.time_ns) <= within
    )


def _complete(logoff: Logon, logon: Logon) -> None:
    """Add what was known of a session when it was opened."""
    logoff.remote_host = logoff.remote_host or logon.remote_host
    logoff.tty = logoff.tty or logon.tty
    logoff.by = logoff.by or logon.by
    logoff.session_id = logoff.session_id if logoff.session_id is not None else logon.session_id


def logon_gatherer(context: Context, _settings: AgentSettings) -> LogonGatherer:
    """Return one, for the registry."""
    return LogonGatherer(context)
