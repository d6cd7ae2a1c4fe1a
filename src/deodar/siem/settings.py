"""Settings of the SIEM: ``siem.toml`` for the core, ``collector.toml`` for each collector."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from deodar.kit import settings as files
from deodar.kit.errors import SettingsError
from deodar.siem.connectors.kata_edr_settings import server_url
from deodar.siem.connectors.registry import AnySettings, check
from deodar.siem.destinations.registry import read
from deodar.siem.pipeline import settings as pipeline
from deodar.siem.services.settings import AlertSettings, ServicesSettings

if TYPE_CHECKING:
    from pathlib import Path

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Bytes = Annotated[int, msgspec.Meta(ge=1024)]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class SearchLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one search may cost: seconds, rows and bytes of its result, bytes of memory."""

    seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0
    rows: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    bytes: Bytes = 256 << 20
    memory: Bytes = 4 << 30


class StorageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the storage service takes: bytes of one batch, batches that may wait for the store."""

    max_batch_bytes: Bytes = 256 << 20
    waiting: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 4


class FrontSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ClickHouse protocol front of the store: off unless `enabled`."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: Port = 8123
    user: str = "deodar"
    password_hash: str = ""
    allow_writes: bool = False


class SiemSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The core. An empty `store` is the embedded one in the state folder.

    With a `metrics_port` its metrics for Prometheus are there, without asking who wants them.
    """

    tenant_id: str
    host: str = "127.0.0.1"
    port: Port = 7210
    rest_port: Port = 7223
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 0
    store: str = ""
    storage: StorageSettings = StorageSettings()
    search: SearchLimits = SearchLimits()
    front: FrontSettings = FrontSettings()
    services: ServicesSettings = ServicesSettings()
    alerts: AlertSettings = AlertSettings()


class CoreLink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a collector reaches the core; file names are in the collector's folder."""

    url: str
    certificate: str = "core-client.pem"
    authority: str = "core-authority.pem"


class CollectorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One collector. `journal_bytes` bounds what waits on disk for the core and the destinations.

    `destinations` are tables as the registry of `deodar.siem.destinations` reads them; `filters`,
    `enrichment`, `aggregation` and `dictionaries` those of `deodar.siem.pipeline.settings`.
    `set_version` is that of the resource set which the settings are from, 0 for none. With a
    `metrics_port` its metrics for Prometheus are there, without asking who wants them.
    """

    name: str
    service_id: str
    tenant_id: str
    core: CoreLink
    connector: AnySettings
    normalizer: str = "kedr"
    journal_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] = 4 << 30
    dead_letter_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] = 1 << 30
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 0
    destinations: list[dict[str, Any]] = []
    filters: list[dict[str, Any]] = []
    enrichment: list[dict[str, Any]] = []
    aggregation: list[dict[str, Any]] = []
    dictionaries: list[dict[str, Any]] = []
    set_version: Annotated[int, msgspec.Meta(ge=0)] = 0


def load_siem(path: Path) -> SiemSettings:
    """Return the core's settings; raises SettingsError that names file and key."""
    settings = files.load(path, SiemSettings)
    if settings.front.enabled and not settings.front.password_hash:
        raise SettingsError(
            f"{path}: front.password_hash: an enabled front needs one; "
            "make it with: deodar siem password-hash"
        )
    return settings


def load_collector(path: Path) -> CollectorSettings:
    """Return a collector's settings, checked as a whole; raises SettingsError."""
    return check_collector(files.load(path, CollectorSettings), where=str(path))


def parse_collector(text: str, *, where: str) -> CollectorSettings:
    """Return a collector's settings of TOML text, checked as a whole; raises SettingsError."""
    return check_collector(files.parse(text, CollectorSettings, where=where), where=where)


def check_collector(settings: CollectorSettings, *, where: str) -> CollectorSettings:
    """Return the settings if they fit together; raises SettingsError that names file and key."""
    check_name(settings.name)
    check(settings.connector, where=f"{where}: connector")
    try:
        server_url(settings.core.url)
    except SettingsError as error:
        raise SettingsError(f"{where}: core.url: {error}") from error
    least = 4 * settings.connector.largest_record
    if settings.journal_bytes < least:
        raise SettingsError(
            f"{where}: journal_bytes must be {least} or more, 4 times what the connector hands "
            "over at once"
        )
    _check_destinations(settings, where)
    pipeline.read(settings, where=where)
    return settings


def _check_destinations(settings: CollectorSettings, where: str) -> None:
    half = settings.journal_bytes // 2
    for destination in read(settings.destinations, where=where):
        if destination.buffer_bytes > half:
            raise SettingsError(
                f"{where}: destinations: {destination.name}: buffer_bytes is at most half of "
                f"journal_bytes, {half}, so that it can hold back no other"
            )


def check_name(name: str) -> str:
    """Return a collector's name if it can be a folder's; raises SettingsError."""
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} cannot name a collector: up to 64 letters, digits and . _ -, "
            "beginning with a letter or digit"
        )
    return name
