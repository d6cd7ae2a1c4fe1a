from __future__ import annotations

import json

import pytest
from tests.siem.test_cli import deodar

DESTINATIONS = """
[[destinations]]
name = "archive"
kind = "file"
path = "events.jsonl"

[[destinations]]
name = "nobody"
kind = "syslog"
address = "127.0.0.1:9"
enabled = false
"""


@pytest.fixture
def siem(tmp_path):
    deodar("init", "--dir", tmp_path / "siem")
    siem = tmp_path / "siem"
    deodar("collector", "add", "kedr", "--edr", "edr:9443", "--edr-insecure", "--dir", siem)
    path = siem / "collectors/kedr/collector.toml"
    text = path.read_text().replace("destinations = []\n", "")
    path.write_text(text + DESTINATIONS)
    return siem


def test_destinations_are_listed_with_the_storage_and_what_never_ran(siem):
    lines = deodar("destination", "list", "--dir", siem, "--json").stdout.splitlines()
    found = {one["name"]: one for one in map(json.loads, lines)}
    assert {name: one["kind"] for name, one in found.items()} == {
        "archive": "file",
        "nobody": "syslog",
    }
    assert found["nobody"]["reason"] == "disabled"
    assert found["archive"]["events"] == 0
    assert "archive" in deodar("destination", "list", "--dir", siem).stdout


def test_a_check_tells_which_destination_can_be_reached(siem):
    words = ("destination", "check", "--dir", siem, "--json")
    found = [json.loads(line) for line in deodar(*words, code=1).stdout.splitlines()]
    assert {one["destination"]: one["good"] for one in found} == {"archive": True, "nobody": False}
    ran = deodar("destination", "check", "archive", "--dir", siem)
    assert "kedr/archive: good" in ran.stdout


def test_an_unknown_destination_or_collector_is_told(siem):
    ran = deodar("destination", "check", "absent", "--dir", siem, code=2)
    assert "no collector has a destination absent" in ran.stderr
    ran = deodar("destination", "list", "--collector", "absent", "--dir", siem, code=3)
    assert "there are: kedr" in ran.stderr


def test_a_collector_with_a_broken_destination_does_not_start(siem):
    path = siem / "collectors/kedr/collector.toml"
    path.write_text(path.read_text().replace('kind = "syslog"', 'kind = "sislog"'))
    ran = deodar("collector", "run", "kedr", "--dir", siem, code=2)
    assert "destinations[1].kind: 'sislog' is no kind of destination" in ran.stderr
