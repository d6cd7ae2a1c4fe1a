"""The offset of a time zone at the time of the event, such as ``+03:00``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.siem.pipeline.enrichment.base import Answer, Key


class TimezoneSettings(RuleSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The offset that `zone` (such as ``Europe/Vienna``) has at the time in `field`."""

    zone: str
    field: str = "Timestamp"
    target: str = "DeviceTimeZone"


class Offset(Enricher):
    """Answers with the offset, with summer time where the zone has it."""

    def __init__(self, settings: TimezoneSettings) -> None:
        super().__init__([source(settings.field)], [target(settings.target)])
        if self.reads[0].kind != "integer":
            raise RuleError(f"field: {settings.field} holds no time")
        try:
            self._zone = ZoneInfo(settings.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise RuleError(f"zone: this host knows no time zone {settings.zone!r}") from error

    def answers(self, keys: Sequence[Key]) -> Sequence[Answer]:
        """Return the offset at each time."""
        return [self._offset(moment) for (moment,) in keys]

    def _offset(self, moment: int) -> Answer:
        try:
            local = datetime.fromtimestamp(moment / 1000, UTC).astimezone(self._zone)
        except (ValueError, OverflowError, OSError):
            return FAILED
        return (local.isoformat(timespec="milliseconds")[23:29],)


def open_timezone(settings: TimezoneSettings, _around: Surroundings) -> Enricher:
    """Return the enricher."""
    return Offset(settings)


KIND = Kind("timezone", "the offset of a time zone", TimezoneSettings, open_timezone, Offset)
