"""Text records of the kernel's audit system, grouped by event and turned into records.

The format is that of audit_log_* in the kernel: "audit(SECONDS.MS:SERIAL): key=value key=value".
A value that a user can choose stands in quotes if it is harmless, else in hex. One system call
gives several records with one serial number, the last of them of type EOE.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deodar.agent.sensors.base import NOT_SET, Exec, ProcessKey
from deodar.agent.sensors.decode import split_argv, terminal
from deodar.agent.sensors.errors import MalformedRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SYSCALL, PATH, CWD, EXECVE, EOE, PROCTITLE = 1300, 1302, 1307, 1309, 1320, 1327
TARGET, MODULE, BPF = 1318, 1330, 1334
MOST_EVENTS = 4096
MOST_ARGUMENTS = 65536
MOST_PROGRAMS = 64
_STAMP = re.compile(r"audit\((\d+)\.(\d{3}):(\d+)\): ?")
_PIECE = re.compile(r"a(\d+)(?:\[\d+\])?$")
Fields = dict[str, str]


@dataclass(slots=True)
class AuditEvent:
    """All records of one serial number."""

    time_ns: int
    """Wall clock, to the millisecond."""
    serial: int
    call: Fields = field(default_factory=dict)
    cwd: bytes = b""
    argv: dict[int, bytes] = field(default_factory=dict)
    argc: int = 0
    title: bytes = b""
    name: bytes = b""
    """Path of the first PATH record: what was asked to be run."""
    target: int = 0
    """Number of the process that a call was about; 0 when no record says it."""
    module: bytes = b""
    """Name of the kernel module that was loaded or unloaded."""
    program: int = 0
    """The kernel's number of the BPF program that was loaded."""


class Grouper:
    """Puts the records of one event together."""

    def __init__(self) -> None:
        self._open: dict[int, AuditEvent] = {}
        self._programs: dict[int, int] = {}

    def add(self, kind: int, text: str) -> AuditEvent | None:
        """Take one record; returns the event that it completes, None when it does not.

        Raises MalformedRecord for a text without a stamp or with a value that cannot be read.
        """
        if kind != EOE and kind != BPF and kind not in _TAKERS:
            return None
        time_ns, serial, rest = split_stamp(text)
        if kind == EOE:
            return self._close(serial)
        if kind == BPF:
            self._note_program(serial, parse_fields(rest))
            return None
        event = self._event(serial, time_ns)
        try:
            _TAKERS[kind](event, parse_fields(rest))
        except (ValueError, KeyError) as error:
            raise MalformedRecord(f"audit record {kind}: {error}") from error
        return None

    def abandoned(self) -> int:
        """Drop the oldest events when too many are incomplete; returns how many were dropped."""
        surplus = max(0, len(self._open) - MOST_EVENTS)
        for serial in list(self._open)[:surplus]:
            del self._open[serial]
        return surplus

    def _close(self, serial: int) -> AuditEvent | None:
        event, program = self._open.pop(serial, None), self._programs.pop(serial, 0)
        if event is not None:
            event.program = program
        return event

    def _note_program(self, serial: int, fields: Fields) -> None:
        """Loads and unloads are told whatever the rules; most belong to no event of ours."""
        if fields.get("op") != "LOAD" or not fields.get("prog-id", "").isdecimal():
            return
        if len(self._programs) >= MOST_PROGRAMS:
            del self._programs[next(iter(self._programs))]
        self._programs[serial] = int(fields["prog-id"])

    def _event(self, serial: int, time_ns: int) -> AuditEvent:
        if serial not in self._open:
            self._open[serial] = AuditEvent(time_ns, serial)
        return self._open[serial]


def split_stamp(text: str) -> tuple[int, int, str]:
    """Return a record's time (ns since the epoch), its serial number, and what follows.

    Raises MalformedRecord.
    """
    stamp = _STAMP.match(text)
    if stamp is None:
        raise MalformedRecord(f"no audit stamp in {text[:80]!r}")
    time_ns = int(stamp[1]) * 10**9 + int(stamp[2]) * 10**6
    return time_ns, int(stamp[3]), text[stamp.end() :]


def parse_fields(text: str) -> Fields:
    """Return the keys and values of a record's text, values as they stand there."""
    return {key: value for key, _, value in (part.partition("=") for part in _words(text))}


def unquote(value: str) -> bytes:
    """Return a value that was logged as a user's text; raises ValueError for broken hex."""
    if value[:1] == '"':
        return value.strip('"').encode("utf-8", "surrogateescape")
    if value in ("(null)", "(none)", "?", ""):
        return b""
    return bytes.fromhex(value)


def to_exec(event: AuditEvent, key: ProcessKey, parent: ProcessKey) -> Exec:
    """Return the exec that an event tells of; raises ValueError, KeyError when fields are missing.

    What audit does not tell (the file's identity, namespaces, cgroup) is left at its default.
    """
    call = event.call
    argv = [event.argv.get(i, b"") for i in range(event.argc)] or split_argv(event.title)
    return Exec(
        event.time_ns, key, parent, argv, len(event.argv) < event.argc,
        unquote(call["exe"]), event.cwd, event.name, unquote(call["comm"]),
        terminal("" if call["tty"] == "(none)" else call["tty"]),
        int(call["uid"]), int(call["gid"]), int(call["euid"]), int(call["egid"]),
        int(call["suid"]), _optional(call["auid"]), _optional(call["ses"]),
    )  # fmt: skip


def _optional(value: str) -> int | None:
    number = int(value)
    return None if number == NOT_SET else number


def _words(text: str) -> Iterator[str]:
    return (word for word in text.split(" ") if "=" in word)


def _take_call(event: AuditEvent, fields: Fields) -> None:
    event.call = fields


def _take_cwd(event: AuditEvent, fields: Fields) -> None:
    event.cwd = unquote(fields["cwd"])


def _take_path(event: AuditEvent, fields: Fields) -> None:
    if fields["item"] == "0":
        event.name = unquote(fields["name"])


def _take_title(event: AuditEvent, fields: Fields) -> None:
    event.title = unquote(fields["proctitle"])


def _take_target(event: AuditEvent, fields: Fields) -> None:
    event.target = int(fields["opid"])


def _take_module(event: AuditEvent, fields: Fields) -> None:
    event.module = unquote(fields["name"])


def _take_argv(event: AuditEvent, fields: Fields) -> None:
    """Long arguments come in pieces, a2[0], a2[1], and many arguments in several records."""
    if "argc" in fields:
        event.argc = min(int(fields["argc"]), MOST_ARGUMENTS)
    for name, value in fields.items():
        if piece := _PIECE.match(name):
            number = int(piece[1])
            event.argv[number] = event.argv.get(number, b"") + unquote(value)


_TAKERS: dict[int, Callable[[AuditEvent, Fields], None]] = {
    SYSCALL: _take_call,
    CWD: _take_cwd,
    PATH: _take_path,
    PROCTITLE: _take_title,
    EXECVE: _take_argv,
    TARGET: _take_target,
    MODULE: _take_module,
}
