from __future__ import annotations

import pytest
from tests.siem.pipeline.enrichment.test_rule import column, enriched

from deodar.siem.pipeline.errors import RuleError
from deodar.siem.pipeline.frame import frame_of

WINTER, SUMMER = 1_767_225_600_000, 1_782_864_000_000  # 2026-01-01 and 2026-07-01


def offsets(zone: str, *times: int) -> list[str]:
    events = frame_of([{"Timestamp": moment} for moment in times])
    return column(enriched("timezone", events=events, zone=zone)[0], "DeviceTimeZone")


def test_the_offset_is_that_of_the_time_of_the_event():
    assert offsets("Europe/Vienna", WINTER, SUMMER) == ["+01:00", "+02:00"]
    assert offsets("Europe/Moscow", WINTER, SUMMER) == ["+03:00", "+03:00"]
    assert offsets("America/St_Johns", WINTER) == ["-03:30"]
    assert offsets("UTC", SUMMER) == ["+00:00"]


def test_a_time_that_no_calendar_has_is_an_error():
    events = frame_of([{"Timestamp": 2**62}])
    _events, written, errors = enriched("timezone", events=events, zone="UTC")
    assert (written.any(), errors) == (False, 1)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"zone": "Europe/Atlantis"}, r"zone: this host knows no time zone 'Europe/Atlantis'"),
        ({"zone": "../etc/passwd"}, "zone: this host knows no"),
        ({"zone": "UTC", "field": "Name"}, "field: Name holds no time"),
    ],
)
def test_what_cannot_be_used_is_told(settings, reason):
    with pytest.raises(RuleError, match=reason):
        enriched("timezone", **settings)
