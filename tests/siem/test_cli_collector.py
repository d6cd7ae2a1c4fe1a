from __future__ import annotations

import json

import pytest
from tests.siem.test_cli import deodar

from deodar.kit.directory import StateDirectory
from deodar.siem.collector import board as boards
from deodar.siem.pipeline.counts import PipelineReport, RuleReport, StageCounts
from deodar.siem.settings import load_collector


@pytest.fixture
def siem(tmp_path):
    deodar("init", "--dir", tmp_path / "siem")
    return tmp_path / "siem"


@pytest.fixture
def collector(siem):
    deodar("collector", "add", "kedr", "--edr", "edr:9443", "--edr-insecure", "--dir", siem)
    return siem / "collectors" / "kedr"


def test_a_collector_is_added_with_all_settings_and_listed(siem):
    options = ("--edr", "edr-1", "--edr", "edr-2:9443", "--edr-insecure", "--max-events", 500)
    options += ("--fetch-timeout", 5, "--client-timeout", 60, "--filter", "EventType == 'process'")
    made = json.loads(deodar("collector", "add", "x", *options, "--dir", siem, "--json").stdout)
    connector = load_collector(siem / "collectors/x/collector.toml").connector
    assert connector.servers() == ("https://edr-1:443", "https://edr-2:9443")
    assert connector.external_id == made["external_id"]
    assert (connector.max_events, connector.max_timeout, connector.patience) == (500, 5.0, 60.0)
    assert connector.filter == "EventType == 'process'"
    listed = json.loads(deodar("collector", "list", "--dir", siem, "--json").stdout)
    assert listed["name"] == "x"
    assert listed["status"]["colour"] == "red"


def test_a_client_timeout_below_the_fetch_timeout_is_refused(siem):
    options = ("--edr", "edr", "--fetch-timeout", 60, "--client-timeout", 30, "--dir", siem)
    assert "client_timeout" in deodar("collector", "add", "x", *options, code=2).stderr


def test_the_status_of_a_stopped_collector_is_red(siem, collector):
    words = ("collector", "status", "kedr", "--dir", siem)
    found = json.loads(deodar(*words, "--json").stdout)
    assert found["status"]["colour"] == "red"
    text = deodar(*words).stdout
    assert found["external_id"] in text
    assert found["certificate_sha256"][:40] in text


def test_an_unknown_collector_is_told_with_those_that_exist(siem, collector):
    for words in (("status",), ("run",), ("reset-token",), ("dead-letters", "list")):
        ran = deodar("collector", *words, "absent", "--dir", siem, code=3)
        assert "there are: kedr" in ran.stderr


def test_the_token_of_a_stopped_collector_is_reset(siem, collector):
    ran = deodar("collector", "reset-token", "kedr", "--yes", "--dir", siem)
    assert "initial request" in ran.stdout
    assert (collector / "journal").is_dir()


def test_a_reset_is_asked_about_first(siem, collector):
    ran = deodar("collector", "reset-token", "kedr", "--dir", siem, code=1)
    assert "come again" in ran.stdout
    assert not (collector / "journal").exists()


def test_a_collector_with_broken_settings_does_not_start(siem, collector):
    path = collector / "collector.toml"
    path.write_text(path.read_text().replace("max_events = 0", "max_events = -1"))
    ran = deodar("collector", "run", "kedr", "--dir", siem, code=2)
    assert "max_events" in ran.stderr
    assert "collector.toml" in ran.stderr


def test_a_missing_or_broken_certificate_is_told(siem, collector):
    (collector / "secret.pem").write_text("nonsense")
    assert "PEM" in deodar("collector", "run", "kedr", "--dir", siem, code=1).stderr
    (collector / "secret.pem").unlink()
    assert "secret.pem" in deodar("collector", "run", "kedr", "--dir", siem, code=3).stderr


def test_the_status_tells_what_the_stages_did(siem, collector):
    board = boards.Board("kedr", 1)
    board.counts.stages += StageCounts(filtered=1234, aggregated_in=7)
    board.pipeline = PipelineReport((RuleReport("names", {"from_cache": 4321, "paused": 0}),), 3)
    boards.save(StateDirectory(collector), board.report())
    told = deodar("collector", "status", "kedr", "--dir", siem).stdout
    for words in ("filtered", "1,234", "rule names", "4,321 from_cache", "open windows"):
        assert words in told
    assert "paused" not in told


def test_a_collector_with_another_connector_is_added_shown_and_checked(siem):
    settings = ("--set", "port=5514", "--set", 'delimiter="\\u0000"', "--set", "idle_seconds=0")
    words = ("collector", "add", "syslog", "--connector", "tcp", *settings, "--dir", siem)
    assert "Start it: deodar siem collector run syslog" in deodar(*words).stdout
    found = load_collector(siem / "collectors/syslog/collector.toml")
    assert found.normalizer == "raw"
    assert (found.connector.kind, found.connector.port) == ("tcp", 5514)
    assert found.connector.delimiter == "\x00"
    told = json.loads(deodar("collector", "status", "syslog", "--dir", siem, "--json").stdout)
    assert told["kind"] == "tcp"
    assert told["listens_on"] == "127.0.0.1, port 5514, without TLS"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "give --edr HOST:PORT for an EDR server, or --connector KIND"),
        (("--edr", "h:1", "--connector", "tcp"), "give --edr HOST:PORT"),
        (("--connector", "pigeon"), "no kind of connector"),
        (("--connector", "tcp", "--set", "port=x"), "port"),
        (("--connector", "tcp", "--set", "port"), "give KEY=VALUE"),
        (("--connector", "tcp", "--set", "port=1", "--normalizer", "x"), "no normalizer x"),
    ],
)
def test_a_connector_that_cannot_be_is_told_and_nothing_made(siem, words, told):
    ran = deodar("collector", "add", "x", *words, "--dir", siem, code=2)
    assert told in ran.stderr
    assert not (siem / "collectors" / "x").exists()
