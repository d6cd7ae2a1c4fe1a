"""Settings as JSON, and all settings of an agent in one text, INI or JSON.

In INI text of everything each section's name begins with the task's: ``[KATAEDR]``,
``[KATAEDR.Endpoints.item_0000]``, ``[Application]``. JSON is an object of objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.tasks.declarations import KINDS, find_name, kesl_task
from deodar.tasks.errors import InvalidSetting, UnknownTask
from deodar.tasks.ini import checked, to_ini
from deodar.tasks.ini_tree import decode, read_tree
from deodar.tasks.single import Text, line_of, printable

if TYPE_CHECKING:
    from deodar.tasks.settings import Kind, Values


def to_json(values: Mapping[str, Any]) -> str:
    """Return settings of one task, or of everything, as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(values), indent=2).decode() + "\n"


def from_json(text: str | bytes, kind: Kind, where: str) -> Values:
    """Return the settings of one task from JSON; see `ini.from_ini`. Raises InvalidSetting."""
    return checked(kind, _object(text, where), where)


def all_to_ini(everything: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the settings of all tasks, by name, as one INI text."""
    return "\n".join(_headed(name, values) for name, values in everything.items())


def all_from_ini(text: str | bytes, where: str) -> dict[str, Values]:
    """Return the settings by task from one INI text. Raises InvalidSetting."""
    return _by_task(read_tree(text, where), where)


def all_from_json(text: str | bytes, where: str) -> dict[str, Values]:
    """Return the settings by task from one JSON object. Raises InvalidSetting."""
    return _by_task(_object(text, where), where)


def _headed(name: str, values: Mapping[str, Any]) -> str:
    """Return one task's settings; its heading is there even when only its sections have any."""
    text = to_ini(values, section=name)
    return text if text.startswith(f"[{name}]\n") else f"[{name}]\n\n{text}"


def _by_task(tree: Mapping[str, Any], where: str) -> dict[str, Values]:
    everything: dict[str, Values] = {}
    for written, values in tree.items():
        name = _task_name(written, values, where)
        if name in everything:
            raise InvalidSetting(f"{name} is given twice", where=where, line=line_of(values))
        everything[name] = checked_task(name, values, where)
    return everything


def checked_task(name: str, values: Any, where: str) -> Values:
    """Return the given settings of one task; {} for a task of KESL that Deodar has not.

    Raises InvalidSetting, in which the setting's name begins with the task's.
    """
    if name not in KINDS:
        return {}
    try:
        return checked(KINDS[name], values, where)
    except InvalidSetting as error:
        raise error.under(name) from None


def _task_name(written: str, values: Any, where: str) -> str:
    """Return the proper name of a task, or the written one of a task that only KESL has."""
    if isinstance(values, Text) or not isinstance(values, Mapping):
        reason = "settings of everything stand below their task, such as [KATAEDR]"
        raise InvalidSetting(reason, where=where, line=line_of(values), setting=printable(written))
    if kesl_task(written):
        return written
    try:
        return find_name(written)
    except UnknownTask as error:
        raise InvalidSetting(str(error), where=where, line=line_of(values)) from None


def _object(text: str | bytes, where: str) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(decode(text, where))
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidSetting(f"it is not JSON: {error}", where=where) from None
    if not isinstance(found, dict):
        raise InvalidSetting("a JSON object of settings is expected", where=where)
    return found
