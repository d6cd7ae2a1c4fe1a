"""KATA's scan API, asked by plain requests; the files are scanned by YARA rules."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from tests.conformance.conftest import started

from deodar.edr.alerts import Alerts
from deodar.edr.scanning.rules import Rules
from deodar.edr.settings import EdrSettings, Scanning

if TYPE_CHECKING:
    from tests.conformance.script import Answer, Script

EVIL = b"a file with VERY-EVIL bytes"
RULE = 'rule evil { meta: importance = "high" strings: $a = "VERY-EVIL" condition: $a }'
SLOW = (
    'rule slow { strings: $a = "VERY-SLOW" condition: $a and '
    "for all i in (0..1000000000000) : (uint8(i % filesize) != 256) }"
)


def form(**fields: str | bytes) -> tuple[bytes, dict[str, str]]:
    """Return a form as ``multipart/form-data``; bytes are files."""
    edge = uuid.uuid4().hex
    parts = b""
    for name, value in fields.items():
        head = f'--{edge}\r\nContent-Disposition: form-data; name="{name}"'
        if isinstance(value, bytes):
            head += '; filename="f.bin"\r\nContent-Type: application/octet-stream'
            parts += head.encode() + b"\r\n\r\n" + value + b"\r\n"
        else:
            parts += f"{head}\r\n\r\n{value}\r\n".encode()
    body = parts + f"--{edge}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={edge}"}


class Scans:
    """A script that has files scanned."""

    def __init__(self, kata: Any) -> None:
        self.kata = kata
        self.script: Script = kata.accepted()
        Rules(kata.database).add("conformance", f"{RULE}\n{SLOW}")

    def ask(self, tail: str, method: str = "GET", **given: Any) -> Answer:
        query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in given.items())
        base = f"/kata/scanner/v1/sensors/{self.script.id}/scans"
        return self.script.send(f"{base}{tail}?{query}", method)

    def post(self, instance: str = "", **fields: str | bytes) -> Answer:
        body, headers = form(**fields)
        tail = f"?sensorInstanceId={instance}" if instance else ""
        path = f"/kata/scanner/v1/sensors/{self.script.id}/scans{tail}"
        return self.script.send(path, "POST", headers, body)

    def scan(self, content: bytes, instance: str = "one") -> str:
        scan_id = str(uuid.uuid4())
        answer = self.post(instance, content=content, scanId=scan_id, objectType="file")
        assert (answer.status, answer.body) == (200, b"OK")
        return scan_id

    def states(self, **given: Any) -> dict[str, str]:
        answer = self.ask("/state", **given)
        if answer.status == 204:
            return {}
        return {scan["scanId"]: scan["state"] for scan in answer.json["scans"]}

    def result(self, scan_id: str, limit: float = 30.0) -> str:
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            state = self.states()[scan_id]
            if state != "processing":
                return state
            time.sleep(0.1)
        raise AssertionError(f"{scan_id} is still processed after {limit} s")


@pytest.fixture(scope="module")
def kata(tmp_path_factory):
    """Return a server that gives a file little time."""
    settings = EdrSettings(
        host="127.0.0.1", port=0, names=("127.0.0.1",), scanning=Scanning(time_limit=2)
    )
    with started(tmp_path_factory.mktemp("scans"), settings) as made:
        yield made


@pytest.fixture(scope="module")
def scans(kata) -> Scans:
    return Scans(kata)


@pytest.mark.row("4.2", "POST scans: content, scanId, objectType=file as a form; 200 OK")
@pytest.mark.row("4.2", "states: processing, detect, not detected, error, timeout")
def test_files_are_scanned(scans):
    evil, good = scans.scan(EVIL), scans.scan(b"nothing of the kind")
    assert scans.result(evil) == "detect"
    assert scans.result(good) == "not detected"


@pytest.mark.row("4.2", "states: processing, detect, not detected, error, timeout")
def test_processing_and_timeout(scans):
    slow = scans.scan(b"a file that is VERY-SLOW to look at")
    assert scans.states()[slow] == "processing"
    assert scans.result(slow) == "timeout"


@pytest.mark.row("4.2", "states: processing, detect, not detected, error, timeout")
def test_without_rules_a_scan_is_an_error(scans):
    rules = Rules(scans.kata.database)
    rules.remove("conformance")
    try:
        assert scans.result(scans.scan(EVIL)) == "error"
    finally:
        rules.add("conformance", f"{RULE}\n{SLOW}")
    assert scans.result(scans.scan(EVIL)) == "detect"


@pytest.mark.row("4.2", "a find is an alert of technology yara")
def test_a_find_is_an_alert(scans):
    scan_id = scans.scan(EVIL, "alerting")
    assert scans.result(scan_id) == "detect"
    newest = Alerts(scans.kata.database).before(0, 5)
    (alert,) = [one for one in newest if one.details["scanId"] == scan_id]
    assert (alert.technology, alert.importance, alert.source) == ("yara", "high", "external")
    assert alert.detection["rules"] == [{"set": "conformance", "name": "evil", "tags": []}]
    assert alert.object["fileName"] == "f.bin"


@pytest.mark.row("4.2", "sensorInstanceId may be a parameter, a field of the form, or missing")
def test_where_the_instance_may_stand(scans):
    ids = [str(uuid.uuid4()) for _ in range(3)]
    common: dict[str, Any] = {"content": b"x", "objectType": "file"}
    assert scans.post("here", scanId=ids[0], **common).status == 200
    assert scans.post(scanId=ids[1], sensorInstanceId="here", **common).status == 200
    assert scans.post(scanId=ids[2], **common).status == 200
    assert set(scans.states(sensorInstanceId="here")) == set(ids[:2])
    assert set(ids) <= set(scans.states())


@pytest.mark.row("4.2", "GET scans/state is filtered by a list of states")
def test_states_are_filtered(scans):
    evil, good = scans.scan(EVIL, "filtered"), scans.scan(b"x", "filtered")
    for scan_id in (evil, good):
        scans.result(scan_id)
    given = {"sensorInstanceId": "filtered"}
    assert scans.states(state="detect", **given) == {evil: "detect"}
    assert scans.states(state="not detected", **given) == {good: "not detected"}
    assert set(scans.states(state="processing,detect,not detected", **given)) == {evil, good}
    assert scans.ask("/state", state="odd").status == 400


@pytest.mark.row("4.2", "204 when there is nothing to tell")
def test_nothing_to_tell(scans):
    answer = scans.ask("/state", sensorInstanceId="nobody")
    assert (answer.status, answer.body) == (204, b"")


@pytest.mark.row("4.2", "DELETE scans/ID forgets one result, 404 when there is none")
def test_one_result_is_deleted(scans):
    one, other = scans.scan(EVIL, "deleting"), scans.scan(EVIL, "deleting")
    scans.result(one)
    assert scans.ask(f"/{one}", "DELETE").status == 200
    assert set(scans.states(sensorInstanceId="deleting")) == {other}
    assert scans.ask(f"/{one}", "DELETE").status == 404


@pytest.mark.row("4.2", "DELETE scans forgets all results")
def test_all_results_are_deleted(scans):
    mine = scans.scan(EVIL, "all-1")
    kept = scans.scan(EVIL, "all-2")
    scans.result(mine)
    assert scans.ask("", "DELETE", sensorInstanceId="all-1").status == 200
    assert scans.states(sensorInstanceId="all-1") == {}
    assert set(scans.states(sensorInstanceId="all-2")) == {kept}
    assert scans.ask("", "DELETE").status == 200
    assert scans.states() == {}


@pytest.mark.row("4.2", "GET scans/filters tells what is scanned at all")
def test_filters(scans):
    told = scans.ask("/filters").json
    assert told == {"objectTypes": ["file"], "minFileSize": 1, "maxFileSize": 100 << 20}


@pytest.mark.row("4.2", "400 for wrong parameters, 413 for a file above the limit")
def test_wrong_forms(scans):
    good: dict[str, Any] = {"content": b"x", "scanId": "a", "objectType": "file"}
    for name, value, status in (
        ("content", b"", 413),
        ("content", "text that is no file", 400),
        ("scanId", "", 400),
        ("scanId", "x" * 129, 400),
        ("objectType", "url", 400),
    ):
        answer = scans.post(**{**good, name: value})
        assert answer.status == status, (name, answer.body)
        assert answer.json["error"].startswith("Bad Request: ")
    path = f"/kata/scanner/v1/sensors/{scans.script.id}/scans"
    for headers in ({}, {"Content-Type": "multipart/form-data"}, {"Content-Type": "text/plain"}):
        assert scans.script.send(path, "POST", headers, b"x").status == 400
    body, headers = form(**good)
    assert scans.script.send(path, "POST", headers, body[:-30]).status == 400


@pytest.mark.row("4.2", "a scan id that comes again takes the place of the one before")
def test_a_scan_id_twice(scans):
    for content in (b"good", EVIL):
        assert scans.post("twice", content=content, scanId="twice", objectType="file").status == 200
    assert scans.result("twice") == "detect"
    assert scans.states(sensorInstanceId="twice") == {"twice": "detect"}


@pytest.mark.row("4.2", "401 for who is not authorised; one system never sees another's scans")
def test_who_sees_what(scans, kata):
    mine = scans.scan(EVIL, "private")
    stranger = kata.script()
    base = f"/kata/scanner/v1/sensors/{stranger.id}/scans"
    assert stranger.send(f"{base}/state").status == 401
    body, headers = form(content=EVIL, scanId="a", objectType="file")
    assert stranger.send(base, "POST", headers, body).status == 401
    kata.accept(kata.script(stranger.id, ip=stranger.ip))
    assert stranger.send(f"{base}/state").status == 204
    assert stranger.send(f"{base}/{mine}", "DELETE").status == 404
