"""Tables of cron as text: crontab(5), in a user's form and in the system's, and anacrontab(5)."""

from __future__ import annotations

import re
from typing import NamedTuple

MOST_LINES = 10_000
MOST_CHARACTERS = 2048
_SETTING = re.compile(r"""^(?:[A-Za-z_]\w*|"[^"]*"|'[^']*')\s*=""")
_TIME = re.compile(r"^[0-9A-Za-z*,/~\-]+$")
_FIELDS = 5


class Line(NamedTuple):
    """One task of a table."""

    expression: str
    """When: five fields, or a word such as @reboot."""
    user: str
    """Empty in a user's own table."""
    command: str
    """With %: what follows the first one is the command's input."""


def user_table(content: bytes) -> tuple[Line, ...]:
    """Return the tasks of a user's table."""
    return tuple(line for text in _lines(content) if (line := _task(text, with_user=False)))


def system_table(content: bytes) -> tuple[Line, ...]:
    """Return the tasks of /etc/crontab or of a file of /etc/cron.d, which name a user."""
    return tuple(line for text in _lines(content) if (line := _task(text, with_user=True)))


def anacron_table(content: bytes) -> tuple[Line, ...]:
    """Return the tasks of anacron: every how many days, after how many minutes."""
    found = []
    for text in _lines(content):
        parts = text.split(None, 3)
        if len(parts) == 4 and not _SETTING.match(text):
            period, delay, _name, command = parts
            every = period if period.startswith("@") else f"every {period} days"
            found.append(Line(f"{every}, after {delay} minutes", "root", _bounded(command)))
    return tuple(found)


def _task(text: str, *, with_user: bool) -> Line | None:
    """Return the task of one line; None for a setting, or a line that cron refuses."""
    if _SETTING.match(text):
        return None
    number = 1 if text.startswith("@") else _FIELDS
    parts = text.split(None, number + with_user)
    if len(parts) != number + with_user + 1:
        return None
    if number == _FIELDS and not all(_TIME.match(part) for part in parts[:number]):
        return None
    user = parts[number] if with_user else ""
    return Line(" ".join(parts[:number]), user, _bounded(parts[-1]))


def _lines(content: bytes) -> list[str]:
    text = content.decode("utf-8", "backslashreplace")
    lines = (line.strip() for line in text.split("\n")[:MOST_LINES])
    return [line for line in lines if line and not line.startswith("#")]


def _bounded(command: str) -> str:
    command = command.strip()
    return command if len(command) <= MOST_CHARACTERS else f"{command[: MOST_CHARACTERS - 3]}..."
