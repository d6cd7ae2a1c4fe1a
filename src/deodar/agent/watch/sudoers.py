"""The rules of sudo, part of the survey of accounts: /etc/sudoers and the files beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from deodar.agent.errors import UnusableFile
from deodar.agent.sensors.base import UNKNOWN_PROCESS
from deodar.agent.watch.files import plain
from deodar.agent.watch.records import AccountChange
from deodar.agent.watch.survey import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deodar.agent.watch.files import Files
    from deodar.agent.watch.records import Operation

FILE, FOLDER = "/etc/sudoers", "/etc/sudoers.d"
PREFIX = "sudoers:"
MOST_RULES = 2000
MOST_CHANGES = 20
"""Rules that one record names."""


class Sudoers(msgspec.Struct, frozen=True, tag="sudoers"):
    """The rules of one file, without comments."""

    path: str
    rules: tuple[str, ...]


def look(files: Files, before: Mapping[str, Any], problems: list[str]) -> dict[str, Sudoers]:
    """Return the rules by file; of a file that cannot be used, those of before."""
    found = {}
    try:
        paths = [FILE, *(f"{FOLDER}/{entry.name}" for entry in files.names(FOLDER))]
    except UnusableFile as error:
        problems.append(str(error))
        return {key: item for key, item in before.items() if key.startswith(PREFIX)}
    for path in paths:
        if path.endswith("~") or "." in path.rpartition("/")[2]:  # as sudo leaves them out
            continue
        key = PREFIX + plain(path)
        try:
            rules = files.parsed(path, parse)
        except UnusableFile as error:
            problems.append(str(error))
            if key in before:
                found[key] = before[key]
        else:
            if rules is not None:
                found[key] = Sudoers(plain(path), rules)
    return found


def parse(content: bytes) -> tuple[str, ...]:
    """Return the rules, each on one line, without comments; includes count as rules."""
    text = content.decode("utf-8", "backslashreplace").replace("\\\n", " ")
    lines = [" ".join(line.split()) for line in text.split("\n")]
    return tuple(line for line in lines if _says_something(line))[:MOST_RULES]


def _says_something(line: str) -> bool:
    if not line.startswith("#"):
        return bool(line)
    return line.startswith(("#include ", "#includedir ")) or line[1:2].isdigit()  # #uid


def change(operation: Operation, old: Any, item: Sudoers) -> Iterator[AccountChange]:
    """Yield the record of one file that changed; none for one that has and had no rules."""
    was = () if operation == "Created" else old.rules
    now = () if operation == "Deleted" else item.rules
    changes = [f"removed: {shown(rule)}" for rule in was if rule not in now]
    changes += [f"added: {shown(rule)}" for rule in now if rule not in was]
    if not changes and was == now:
        return
    if len(changes) > MOST_CHANGES:
        more = len(changes) - MOST_CHANGES
        changes = [*changes[:MOST_CHANGES], f"and {more} more"]
    yield AccountChange(
        0, UNKNOWN_PROCESS, operation, item.path, tuple(changes or ["order"]), False, "Sudoers"
    )
