"""All kinds of destinations by name, and reading their settings."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.kit.errors import SettingsError
from deodar.siem.destinations import (
    deodar,
    file,
    http,
    kafka,
    nats_jetstream,
    opensearch,
    syslog,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from deodar.siem.destinations.base import CommonSettings, Destination, Kind

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        module.KIND.name: module.KIND
        for module in (file, syslog, http, kafka, nats_jetstream, opensearch, deodar)
    }
)
"""Every kind; a new one is a file with a KIND, named here."""


def read(tables: Sequence[Mapping[str, Any]], *, where: str) -> tuple[CommonSettings, ...]:
    """Return the settings of all destinations of a settings file, also of disabled ones.

    Raises SettingsError that names `where`, the destination and the key.
    """
    found = tuple(_one(table, f"{where}: destinations[{i}]") for i, table in enumerate(tables))
    names = [settings.name for settings in found]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"{where}: two destinations have the name {name}")
    return found


def _one(table: Mapping[str, Any], where: str) -> CommonSettings:
    kind = KINDS.get(str(table.get("kind", "")))
    if kind is None:
        raise SettingsError(
            f"{where}.kind: {table.get('kind')!r} is no kind of destination; "
            f"there are: {', '.join(sorted(KINDS))}"
        )
    try:
        settings = msgspec.convert(dict(table), kind.settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where} (kind {kind.name}): {error}") from error
    problem = settings.problem()
    if problem:
        raise SettingsError(f"{where}.{problem}")
    return settings


def open_destination(settings: CommonSettings, home: Path) -> Destination:
    """Return a destination that is ready to deliver; raises SettingsError or TlsError."""
    return KINDS[settings.kind].open(settings, home)
