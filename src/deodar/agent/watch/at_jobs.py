"""Jobs of at(1): files in its spool, whose names say when and whose text says what and for whom."""

from __future__ import annotations

import re
import time
from typing import NamedTuple

_NAME = re.compile(r"^[a-zA-Z]([0-9a-f]{5})([0-9a-f]{8})$")
_OWNER = re.compile(r"^# atrun uid=(\d+) gid=\d+", re.MULTILINE)
_HERE = re.compile(r"^\$\{SHELL:-/bin/sh\} << '(\S+)'\n", re.MULTILINE)
_CHANGE_FOLDER = re.compile(r"^cd .*\|\| \{\n.*\n\s*exit 1\n\}\n", re.MULTILINE)
MOST_CHARACTERS = 2048


class Job(NamedTuple):
    """What the text of a job says."""

    uid: int
    command: str


def when(name: str) -> str:
    """Return when the job of a file runs, by the clock of the world; "" for no job's name."""
    found = _NAME.match(name)
    if found is None:
        return ""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(int(found[2], 16) * 60))


def number(name: str) -> int:
    """Return the number of a job that has a time."""
    found = _NAME.match(name)
    return int(found[1], 16) if found else 0


def parse(content: bytes) -> Job:
    """Return the owner of a job, and its command without the surroundings that at adds."""
    text = content.decode("utf-8", "backslashreplace")
    owner = _OWNER.search(text)
    return Job(int(owner[1]) if owner else 0, _command(text)[:MOST_CHARACTERS])


def _command(text: str) -> str:
    start = _HERE.search(text)
    if start is not None:
        return text[start.end() :].split(f"\n{start[1]}", 1)[0].strip()
    prologue = _CHANGE_FOLDER.search(text)
    return (text[prologue.end() :] if prologue else text).strip()
