from __future__ import annotations

import pytest

from deodar.edr import alerts as module
from deodar.edr.alerts import Alerts, NewAlert


def found(technology: str = "yara", **more: object) -> NewAlert:
    given = {"object": {"n": 1}, "detection": {"rules": ["a"]}, "details": {}, **more}
    return NewAlert(
        event_us=5,
        importance="low",
        source="external",
        technology=technology,  # type: ignore[arg-type]
        object_type="file",
        **given,  # type: ignore[arg-type]
    )


@pytest.fixture
def alerts(database) -> Alerts:
    return Alerts(database)


def test_alerts_are_read_from_a_number_on_and_backwards(alerts):
    for technology in ("yara", "ids", "yara"):
        alerts.add(found(technology))
    assert alerts.last() == 3
    assert [alert.number for alert in alerts.after(1, 10)] == [2, 3]
    assert [alert.number for alert in alerts.after(0, 10, ["yara"])] == [1, 3]
    assert [alert.number for alert in alerts.after(0, 1)] == [1]
    assert [alert.number for alert in alerts.before(0, 2)] == [3, 2]
    assert [alert.number for alert in alerts.before(2, 9, ["yara"])] == [1]
    (first,) = alerts.after(0, 1)
    assert (first.object, first.detection, first.event_us) == ({"n": 1}, {"rules": ["a"]}, 5)
    assert first.detect_us > 1_700_000_000_000_000


def test_an_alert_within_a_transaction_that_fails_is_not_there(alerts, database):
    def fail() -> None:
        with database.write() as connection:
            alerts.add(found(), connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert alerts.last() == 0


def test_the_oldest_go_when_there_are_too_many_of_a_technology(alerts, monkeypatch):
    assert (module.KEPT, module.KEPT_MORE["ids"]) == (20_000, 100_000)
    monkeypatch.setattr(module, "KEPT", 2)
    monkeypatch.setattr(module, "KEPT_MORE", {"ids": 4})
    for technology in ["yara", "ids"] * 5:
        alerts.add(found(technology))
    assert alerts.rotate() == 4
    assert alerts.rotate() == 0
    kept = [(alert.number, alert.technology) for alert in alerts.after(0, 99)]
    assert [n for n, technology in kept if technology == "yara"] == [7, 9]
    assert [n for n, technology in kept if technology == "ids"] == [4, 6, 8, 10]
    alerts.add(found())
    assert alerts.last() == 11  # numbers are not given again


def test_what_is_too_large_is_cut_and_says_so(alerts):
    alerts.add(found(detection={"text": "x" * 100_000}))
    alerts.add(found(object={"name": "a\0b"}))
    cut, nul = alerts.after(0, 9)
    assert (cut.object, cut.detection, cut.details) == ({"n": 1}, {}, {"cut": True})
    assert nul.object == {"name": "a?b"}
