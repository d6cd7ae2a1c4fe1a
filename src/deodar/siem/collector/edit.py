"""Changing settings of a collector's connector: checked, and what follows from it told, first."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from deodar.kit import settings as files
from deodar.kit.errors import SettingsError
from deodar.siem.collector.home import SETTINGS, settings_of
from deodar.siem.connectors import registry
from deodar.siem.settings import parse_collector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.kit.directory import StateDirectory

INITIAL = (
    "The EDR server will take the next request for an initial request, since {what} change: "
    "history that it still holds comes again, and the request may have to be accepted there anew."
)
_IDENTIFYING = {
    "urls": "its address",
    "external_id": "the external id",
    "secret": "the certificate",
}


class Change(NamedTuple):
    """A change that can be saved: the file's new text, what is different, what follows from it.

    `warning` is empty when the stream of events goes on where it is.
    """

    text: str
    differences: tuple[str, ...]
    warning: str


def propose(home: StateDirectory, assignments: Sequence[str]) -> Change:
    """Return what `KEY=VALUE` texts would change; nothing is saved.

    Keys are those of the table [connector]; values are TOML, or plain text. Raises SettingsError.
    """
    settings = settings_of(home)
    before = msgspec.to_builtins(settings.connector)
    table = dict(before)
    for text in assignments:
        key, equals, value = text.partition("=")
        key = key.strip().removeprefix("connector.")
        if not equals or key not in before or key == "kind":
            known = ", ".join(sorted(before.keys() - {"kind"}))
            raise SettingsError(f"{text}: give KEY=VALUE with one of these keys: {known}")
        table[key] = _fitting(table, key, value)
    connector = registry.read(table, where="connector")
    changed = msgspec.structs.replace(settings, connector=connector)
    text = files.dump(changed, comment=_head(home.read(SETTINGS).decode()))
    parse_collector(text, where=str(home.path / SETTINGS))
    after = msgspec.to_builtins(connector)
    keys = [key for key in after if after[key] != before.get(key)]
    return Change(
        text,
        tuple(f"{key}: {_shown(before[key])} -> {_shown(after[key])}" for key in keys),
        _warning(home, settings.connector, connector, keys),
    )


def save(home: StateDirectory, change: Change) -> None:
    """Save a change; raises StateError when the disk refuses."""
    home.write(SETTINGS, change.text.encode())


def _warning(home: StateDirectory, before: Any, after: Any, keys: Sequence[str]) -> str:
    if registry.identity(before, home.path) == registry.identity(after, home.path):
        return ""
    what = [text for key, text in _IDENTIFYING.items() if key in keys]
    return INITIAL.format(what=" and ".join(what) or "its settings")


def _fitting(table: dict[str, Any], key: str, value: str) -> Any:
    """Return a value as TOML says it if the setting takes that, else as text."""
    try:
        read = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value
    was = table[key]
    same = isinstance(read, type(was)) or (isinstance(was, float) and isinstance(read, int))
    return value if isinstance(was, str) and not same else read


def _head(text: str) -> str:
    """Return the comment at the head of a settings file."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").removeprefix(" "))
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return str(msgspec.json.encode(value), "utf-8")
