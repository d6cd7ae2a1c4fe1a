"""The audit system's switches: its status, and the rules that make it report what we need.

Numbers and layouts are those of linux/audit.h.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from deodar.agent.sensors.netlink import DONE, request

PROTOCOL = 9  # NETLINK_AUDIT
GET, SET, ADD_RULE, DELETE_RULE, LIST_RULES = 1000, 1001, 1011, 1012, 1013
MASK_ENABLED, MASK_BACKLOG, MASK_WAIT = 1, 16, 32
LOCKED = 2
PANIC = 2
KEY = b"deodar"
_STATUS = struct.Struct("<10I")
_RULE = struct.Struct("<III64I64I64I64II")
_EXIT_LIST, _ALWAYS = 4, 2
_FIELD_ARCH, _FIELD_SUCCESS, _FIELD_ARGUMENT, _FIELD_KEY = 11, 104, 200, 210
_WITH_TEXT = frozenset({*range(13, 18), *range(19, 24), 105, 107, 112, _FIELD_KEY})
"""Fields whose value is the length of a text: labels, paths, folders, programs, keys."""
_EQUAL, _AT_LEAST, _AT_MOST = 0x40000000, 0x60000000, 0x50000000


class Calls(NamedTuple):
    """Numbers of the system calls to watch, on one architecture."""

    arch: int
    execve: int
    execveat: int
    exit_group: int


ARCHITECTURES = {
    "x86_64": Calls(0xC000003E, 59, 322, 231),
    "aarch64": Calls(0xC00000B7, 221, 281, 94),
}


@dataclass(frozen=True)
class Status:
    """What AUDIT_GET says, as far as it matters here."""

    enabled: int
    daemon: int
    """Process id of auditd; 0 when there is none."""
    backlog_limit: int
    lost: int
    failure: int = 1
    """What the kernel does when it loses a record: nothing, print it, or PANIC."""
    backlog_wait: int = 0
    """How long a process is held up when the backlog is full, in jiffies."""


def status() -> Status:
    """Return the state of the audit system; raises OSError."""
    _, payload = request(PROTOCOL, GET, bytes(_STATUS.size), last=GET)[-1]
    _, enabled, failure, daemon, _, limit, lost, _, _, wait = _STATUS.unpack_from(payload)
    return Status(enabled, daemon, limit, lost, failure, wait)


def set_enabled(value: int) -> None:
    """Switch auditing on (1) or off (0); raises OSError."""
    request(PROTOCOL, SET, _STATUS.pack(MASK_ENABLED, value, *([0] * 8)))


def set_backlog_limit(value: int) -> None:
    """Set how many records may wait in the kernel; raises OSError."""
    request(PROTOCOL, SET, _STATUS.pack(MASK_BACKLOG, 0, 0, 0, 0, value, *([0] * 4)))


def set_backlog_wait(value: int) -> None:
    """Set how long a process is held up when the backlog is full (jiffies); raises OSError."""
    request(PROTOCOL, SET, _STATUS.pack(MASK_WAIT, *([0] * 8), value))


def exec_rule(calls: Calls) -> bytes:
    """Return the rule that reports every successful execve and execveat."""
    return _rule(calls.arch, (calls.execve, calls.execveat), success=True)


def exit_rule(calls: Calls) -> bytes:
    """Return the rule that reports every exit_group: it never comes back, so has no success."""
    return _rule(calls.arch, (calls.exit_group,), success=False)


def call_rule(arch: int, calls: tuple[int, ...], first: tuple[int, int] | None = None) -> bytes:
    """Return the rule that reports calls that go well; `first` is a range of their first argument.

    The kernel compares the argument's lower 32 bits.
    """
    return _rule(arch, calls, success=True, first=first)


def add_rule(rule: bytes) -> None:
    """Add a rule; one that is there already (of an agent that was killed) is taken over.

    Raises OSError.
    """
    try:
        request(PROTOCOL, ADD_RULE, rule)
    except FileExistsError:
        return


def delete_rule(rule: bytes) -> None:
    """Delete a rule; raises OSError when it is not there."""
    request(PROTOCOL, DELETE_RULE, rule)


def rules() -> list[bytes]:
    """Return the rules in force; raises OSError."""
    answers = request(PROTOCOL, LIST_RULES, last=DONE)
    return [payload for kind, payload in answers if kind == LIST_RULES]


def own_rules() -> list[bytes]:
    """Return the rules in force that carry our key, of whatever release; raises OSError."""
    return [
        rule[: _RULE.size + _RULE.unpack_from(rule)[-1]] for rule in rules() if KEY in keys(rule)
    ]


def keys(rule: bytes) -> list[bytes]:
    """Return the keys of a rule as the kernel lists it.

    Fields with a text have its length as their value; the texts stand behind the rule in a row.
    """
    numbers = _RULE.unpack_from(rule)
    count = numbers[2]
    fields, values = numbers[67 : 67 + count], numbers[131 : 131 + count]
    found, at = [], _RULE.size
    for name, value in zip(fields, values, strict=True):
        if name in _WITH_TEXT:
            if name == _FIELD_KEY:
                found.append(rule[at : at + value])
            at += value
    return found


def _rule(
    arch: int, calls: tuple[int, ...], *, success: bool, first: tuple[int, int] | None = None
) -> bytes:
    fields = [(_FIELD_ARCH, arch, _EQUAL)]
    if success:
        fields.append((_FIELD_SUCCESS, 1, _EQUAL))
    if first is not None:
        fields.append((_FIELD_ARGUMENT, first[0], _AT_LEAST))
        fields.append((_FIELD_ARGUMENT, first[1], _AT_MOST))
    fields.append((_FIELD_KEY, len(KEY), _EQUAL))
    mask = [0] * 64
    for call in calls:
        mask[call // 32] |= 1 << call % 32
    names, values, operators = (list(column) for column in zip(*fields, strict=True))
    return (
        _RULE.pack(
            _EXIT_LIST, _ALWAYS, len(fields), *mask, *_padded(names), *_padded(values),
            *_padded(operators), len(KEY),
        )
        + KEY
    )  # fmt: skip


def _padded(values: list[int]) -> list[int]:
    return values + [0] * (64 - len(values))
