"""Where an address is, by a local database in MaxMind's format (GeoLite2, DB-IP and the like)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import maxminddb
import msgspec

from deodar.columnar.values import FAILED
from deodar.siem.pipeline.enrichment.base import (
    Enricher,
    Kind,
    RuleSettings,
    Surroundings,
    source,
    target,
)
from deodar.siem.pipeline.errors import RuleError
from deodar.siem.pipeline.filters.operators import address
from deodar.siem.storage.model import MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from deodar.siem.pipeline.enrichment.base import Answer, Key
    from deodar.siem.pipeline.fields import FieldRef

Part = Literal[
    "country", "country_code", "region", "city", "latitude", "longitude", "asn", "organization"
]
_BY_PREFIX: Mapping[Part, str] = MappingProxyType(
    {
        "country": "Country", "region": "Region", "city": "City", "latitude": "Latitude",
        "longitude": "Longitude",
    }
)  # fmt: skip


class GeoipSettings(RuleSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the database `file` knows of the address in `field` goes into `targets`.

    `targets` are fields by part: country, country_code, region, city, latitude, longitude, asn,
    organization. Without them the fields beside the address are filled: SourceCountry,
    SourceRegion, SourceCity, SourceLatitude and SourceLongitude for SourceAddress. Names are in
    `language`, or in English where there is none. An address that the database does not have
    changes nothing. The file is read when the collector starts or reloads; put a new one in its
    place by renaming.
    """

    file: str
    field: str = "SourceAddress"
    language: str = "en"
    targets: dict[Part, str] = msgspec.field(default_factory=dict)


class Geoip(Enricher):
    """Answers from a database that is mapped into memory."""

    def __init__(self, settings: GeoipSettings, home: Path) -> None:
        reads, targets = _fields(settings)
        super().__init__(reads, list(targets.values()))
        self._parts = [_PARTS[part] for part in targets]
        self._language = settings.language
        path = home / settings.file
        try:
            self._database = maxminddb.open_database(path)
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            raise RuleError(f"file: {path} is no database of addresses: {error}") from error
        self._is_ipv4 = self._database.metadata().ip_version == 4

    def answers(self, keys: Sequence[Key]) -> Sequence[Answer]:
        """Return the parts of what the database knows."""
        return [self._answer(text) for (text,) in keys]

    def _answer(self, text: str) -> Answer:
        found = address(text)
        if found is None or (found.version == 6 and self._is_ipv4):
            return None
        try:
            record = self._database.get(found)
        except (ValueError, maxminddb.InvalidDatabaseError):
            return FAILED
        if not isinstance(record, dict):
            return None
        return tuple(part(record, self._language) for part in self._parts)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


def _inner(record: Any, *path: str | int) -> Any:
    for step in path:
        if isinstance(step, int):
            record = record[step] if isinstance(record, list) and len(record) > step else None
        else:
            record = record.get(step) if isinstance(record, dict) else None
    return record


def _named(*path: str | int) -> Callable[[Any, str], Any]:
    def part(record: Any, language: str) -> Any:
        names = _inner(record, *path, "names")
        return _inner(names, language) or _inner(names, "en")

    return part


def _plain(*path: str) -> Callable[[Any, str], Any]:
    return lambda record, _language: _inner(record, *path)


_PARTS: Mapping[Part, Callable[[Any, str], Any]] = MappingProxyType(
    {
        "country": _named("country"),
        "country_code": _plain("country", "iso_code"),
        "region": _named("subdivisions", 0),
        "city": _named("city"),
        "latitude": _plain("location", "latitude"),
        "longitude": _plain("location", "longitude"),
        "asn": _plain("autonomous_system_number"),
        "organization": _plain("autonomous_system_organization"),
    }
)


def _fields(settings: GeoipSettings) -> tuple[list[FieldRef], dict[Part, FieldRef]]:
    reads = [source(settings.field)]
    if reads[0].kind != "string":
        raise RuleError(f"field: {settings.field} holds no text, and so no address")
    names = dict(settings.targets)
    if not names:
        prefix = settings.field.removesuffix("Address")
        names = {part: f"{prefix}{end}" for part, end in _BY_PREFIX.items()}
        names = {part: name for part, name in names.items() if name in MODEL}
    if not names:
        raise RuleError(f"targets: name the fields, for none belong to {settings.field}")
    return reads, {part: target(name, f"targets.{part}") for part, name in names.items()}


def open_geoip(settings: GeoipSettings, around: Surroundings) -> Enricher:
    """Return the enricher."""
    return Geoip(settings, around.home)


KIND = Kind("geoip", "where an address is", GeoipSettings, open_geoip, _fields)
