"""All kinds of connectors by name, and reading their settings."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Union

import msgspec

from deodar.kit.errors import SettingsError
from deodar.siem.connectors import (
    file,
    http_in,
    http_poll,
    kafka,
    kata_edr_kind,
    nats_jetstream,
    tcp,
    udp,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deodar.siem.connectors.base import Connector, ConnectorSettings, Kind, Sink

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        module.KIND.name: module.KIND
        for module in (kata_edr_kind, tcp, udp, http_in, file, kafka, nats_jetstream, http_poll)
    }
)
"""Every kind; a new one is a file with a KIND, named here."""

if TYPE_CHECKING:
    AnySettings = ConnectorSettings
else:  # what a settings file is read as: the key `kind` says which of them
    AnySettings = Union[tuple(kind.settings for kind in KINDS.values())]  # noqa: UP007


def kind_of(settings: ConnectorSettings) -> Kind:
    """Return the kind that settings are of."""
    return KINDS[settings.kind]


def read(table: Mapping[str, Any], *, where: str) -> ConnectorSettings:
    """Return a connector's settings from a table; raises SettingsError that names the key."""
    kind = KINDS.get(str(table.get("kind", "")))
    if kind is None:
        raise SettingsError(
            f"{where}.kind: {table.get('kind')!r} is no kind of connector; "
            f"there are: {', '.join(sorted(KINDS))}"
        )
    try:
        settings = msgspec.convert(dict(table), kind.settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where} (kind {kind.name}): {error}") from error
    return check(settings, where=where)


def check(settings: ConnectorSettings, *, where: str) -> ConnectorSettings:
    """Return the settings if they fit together; raises SettingsError that names the key."""
    problem = settings.problem()
    if problem:
        raise SettingsError(f"{where}.{problem}")
    return settings


def open_connector(settings: ConnectorSettings, home: Path, sink: Sink) -> Connector:
    """Return a connector that is ready to run; raises SettingsError, StateError or TlsError."""
    return kind_of(settings).open(settings, home, sink)


def identity(settings: ConnectorSettings, home: Path) -> str:
    """Return the name of the stream that a state belongs to; raises as `open_connector` does."""
    return kind_of(settings).identity(settings, home)


def facts(settings: ConnectorSettings, home: Path) -> Mapping[str, str]:
    """Return what an administrator sees of a connector; raises as `open_connector` does."""
    return kind_of(settings).facts(settings, home)
