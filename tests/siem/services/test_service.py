from __future__ import annotations

import msgspec
import pytest
from tests.siem.services.conftest import report

from deodar.siem.services.service import Alert, as_row, events_query, status

NOW = 1_800_000_000_000_000
SILENT = 60.0


@pytest.fixture
def alive(service):
    return msgspec.structs.replace(service, reported_us=NOW - 5_000_000, report=report())


def colour(service, **changes):
    return status(msgspec.structs.replace(service, **changes), NOW, SILENT)


def test_one_that_was_never_heard_of_is_blue(service):
    assert colour(service) == ("blue", "made, not paired yet")
    assert colour(service, local=True) == ("blue", "made, never started")


def test_one_at_work_is_green(alive):
    assert colour(alive) == ("green", "fetching")


def test_one_that_is_silent_is_red(alive):
    assert colour(alive, reported_us=NOW - 61_000_000)[0] == "red"
    assert colour(alive, reported_us=NOW - 59_000_000)[0] == "green"


def test_a_disabled_one_is_grey_whatever_else(alive):
    assert colour(alive, disabled_us=NOW, reported_us=1)[0] == "grey"


def test_yellow_has_every_reason(alive):
    alert = Alert("Low disk space", NOW, "/ has 1.0 % free")
    told = report(colour="yellow", reason="waits for authorization", refused=3, running=2,
                  refused_reason="journal_bytes")  # fmt: skip
    found, reason = colour(alive, report=told, alerts=(alert,))
    assert found == "yellow"
    own = report(refused_reason="max_events")
    assert "its settings were refused" in colour(alive, report=own)[1]
    for part in ("waits for authorization", "version 3", "version 2 goes on", "Low disk space: /"):
        assert part in reason


def test_the_row_has_what_the_table_shows(alive):
    row = as_row(alive, NOW, SILENT)
    assert (row.fqdn, row.version, row.api_port, row.uptime) == ("host.example", "1.0", 7221, 5)
    assert as_row(msgspec.structs.replace(alive, reported_us=1), NOW, SILENT).uptime == 0


def test_go_to_events_is_a_search_for_the_service(alive):
    assert f"ServiceID = '{alive.id}'" in events_query(alive)
