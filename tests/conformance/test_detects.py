"""KATA's API of alerts, asked by plain requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from deodar.edr.alerts import TECHNOLOGIES, Alerts, NewAlert

if TYPE_CHECKING:
    from tests.conformance.script import Answer, Script


class Detects:
    """A script that asks for alerts, and the server's side that finds some."""

    def __init__(self, kata: Any) -> None:
        self.kata = kata
        self.script: Script = kata.accepted()
        self.alerts = Alerts(kata.database)

    def get(self, script: Script | None = None, **given: Any) -> Answer:
        asking = script or self.script
        query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in given.items())
        return asking.send(f"/kata/scanner/v1/sensors/{asking.id}/detects?{query}")

    def find(self, technology: Any = "yara", count: int = 1) -> None:
        for number in range(count):
            self.alerts.add(
                NewAlert(
                    event_us=1_790_000_000_000_000 + number,
                    importance="high",
                    source="endpoint",
                    technology=technology,
                    object_type="file",
                    object={"fileName": f"{technology}-{number}"},
                    detection={"rules": []},
                    details={},
                )
            )

    @property
    def end(self) -> str:
        """The token behind everything that is there."""
        return f'{{"offset": {self.alerts.last()}}}'.encode().hex()


@pytest.fixture(scope="module")
def detects(kata) -> Detects:
    return Detects(kata)


@pytest.mark.row("4.1", "without a token: every alert, and a token to go on with")
def test_all_alerts(detects):
    detects.find()
    answer = detects.get()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert len(answer.json["alerts"]) == detects.alerts.last() >= 1


@pytest.mark.row("4.1", "with the token only what came since, and a token again")
def test_a_token_goes_on(detects):
    token = detects.get().json["token"]
    assert detects.get(token=token).json == {"alerts": [], "token": token}
    detects.find(count=2)
    answer = detects.get(token=token).json
    assert len(answer["alerts"]) == 2
    assert detects.get(token=answer["token"]).json["alerts"] == []


@pytest.mark.row("4.1", 'the token is JSON in hexadecimal, such as {"offset": 0}')
def test_the_form_of_the_token(detects):
    detects.find()
    assert detects.get(token="7b226f6666736574223a20307d").json == detects.get().json
    assert detects.get().json["token"] == detects.end


@pytest.mark.row("4.1", "detect_type is a list with commas of am, sb, yara, url_reputation, ids")
def test_types_of_alerts(detects):
    token = detects.end
    for technology in TECHNOLOGIES:
        detects.find(technology)
    everything = detects.get(token=token).json["alerts"]
    assert [alert["technology"] for alert in everything] == list(TECHNOLOGIES)
    some = detects.get(token=token, detect_type="sb,ids").json["alerts"]
    assert [alert["technology"] for alert in some] == ["sb", "ids"]
    for technology in ("am", "sb", "yara", "url_reputation", "ids"):
        (one,) = detects.get(token=token, detect_type=technology).json["alerts"]
        assert one["technology"] == technology


@pytest.mark.row("4.1", "limit goes from 1 to 10,000 and is 1,000 by default")
def test_limits(detects):
    token = detects.end
    detects.find(count=1100)
    assert len(detects.get(token=token).json["alerts"]) == 1000
    assert len(detects.get(token=token, limit=1).json["alerts"]) == 1
    assert len(detects.get(token=token, limit=10_000).json["alerts"]) == 1100
    for limit in ("0", "10001", "-1", "x", "1.5"):
        assert detects.get(limit=limit).status == 400


@pytest.mark.row("4.1", "an alert has its id, two times, importance, source, technology, object")
def test_the_fields_of_an_alert(detects):
    token = detects.end
    detects.find()
    (alert,) = detects.get(token=token).json["alerts"]
    assert set(alert) == {
        "alertID",
        "eventTimeStamp",
        "detectTimestamp",
        "importance",
        "objectSource",
        "technology",
        "objectType",
        "object",
        "detection",
        "details",
    }
    assert isinstance(alert["alertID"], int)
    assert alert["eventTimeStamp"] == "2026-09-21T14:13:20.000Z"
    assert alert["detectTimestamp"].endswith("Z")
    assert (alert["importance"], alert["objectSource"]) == ("high", "endpoint")
    assert (alert["technology"], alert["objectType"]) == ("yara", "file")


@pytest.mark.row("4.1", "400 for wrong parameters")
@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"detect_type": "virus"}, "Bad Request: detect_type 'virus'"),
        ({"limit": "many"}, "Bad Request: limit 'many'"),
        ({"token": "xyz"}, "Bad Request: token"),
        ({"token": b"{}".hex()}, "Bad Request: token"),
        ({"token": b'{"offset": -1}'.hex()}, "Bad Request: token"),
        ({"token": "00" * 200}, "Bad Request: token"),
    ],
)
def test_wrong_parameters(detects, given, text):
    answer = detects.get(**given)
    assert answer.status == 400
    assert answer.json["error"].startswith(text)


@pytest.mark.row("4.1", "401 for who is not authorised; the first request asks for it")
def test_who_is_not_accepted(detects, kata):
    stranger = kata.script()
    assert detects.get(stranger).json == {"error": "Unauthorized"}
    (row,) = [row for row in kata.register.list("pending") if row.ip == stranger.ip]
    assert row.id == stranger.id
    kata.register.accept(str(row.number))
    assert detects.get(stranger).status == 200
    assert detects.get(kata.script(pem=kata.pem)).status == 401


@pytest.mark.row("4.1", "429 when there are too many requests")
def test_too_many_requests(detects, kata):
    script = kata.accepted()
    kata.settings.set("events_api.rate", 1)
    try:
        answers = []
        for _ in range(200):
            answers.append(detects.get(script))
            if answers[-1].status == 429:
                break
        assert answers[-1].status == 429
        assert "Number of requests exceeded" in answers[-1].json["error"]
        assert int(answers[-1].headers["Retry-After"]) >= 1
    finally:
        kata.settings.reset("events_api.rate")


@pytest.mark.row("4.1", "other methods get 405")
def test_other_methods(detects):
    path = f"/kata/scanner/v1/sensors/{detects.script.id}/detects"
    for method in ("POST", "DELETE", "PUT"):
        assert detects.script.send(path, method).status == 405
