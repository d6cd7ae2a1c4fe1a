from __future__ import annotations

import json

import pytest
from tests.siem.test_cli import deodar

from deodar.kit.directory import StateDirectory
from deodar.siem.collector.certificate import BEFORE
from deodar.siem.connectors.trusted import Trusted
from deodar.siem.settings import load_collector
from deodar.tls.certificates import fingerprint, self_signed


@pytest.fixture
def siem(tmp_path):
    path = tmp_path / "siem"
    deodar("init", "--dir", path, "--edr", "edr:9443", "--edr-insecure", "--collector", "kedr")
    return path


@pytest.fixture
def home(siem):
    return StateDirectory(siem / "collectors" / "kedr")


def connector(home):
    return load_collector(home.path / "collector.toml").connector


def test_a_setting_is_changed(siem, home):
    told = deodar("collector", "set", "kedr", "max_events=7", "--dir", siem).stdout
    assert "max_events: 0 -> 7" in told
    assert connector(home).max_events == 7
    again = deodar("collector", "set", "kedr", "max_events=7", "--dir", siem).stdout
    assert "nothing was saved" in again


def test_an_initial_request_is_announced_before_it_is_saved(siem, home):
    words = ("collector", "set", "kedr", 'urls=["other:9443"]', "--dir", siem)
    assert "initial request" in deodar(*words, code=1).stdout
    assert connector(home).urls == ["edr:9443"]
    assert "initial request" in deodar(*words, "--yes").stdout
    assert connector(home).urls == ["other:9443"]


def test_a_wrong_setting_is_refused(siem):
    assert (
        "max_events"
        in deodar("collector", "set", "kedr", "max_evens=7", "--dir", siem, code=2).stderr
    )


def test_a_new_certificate_is_made_or_taken_and_announced(siem, home, tmp_path):
    first = home.read("secret.pem")
    words = ("collector", "new-certificate", "kedr", "--dir", siem)
    assert "the certificate" in deodar(*words, code=1).stdout
    assert home.read("secret.pem") == first
    told = deodar(*words, "--yes").stdout
    assert fingerprint(home.read("secret.pem")) in told
    assert home.read(BEFORE) == first
    own = self_signed("own")
    (tmp_path / "cert.pem").write_bytes(own.certificate)
    (tmp_path / "key.pem").write_bytes(own.key)
    files = ("--certificate", tmp_path / "cert.pem", "--key", tmp_path / "key.pem")
    found = json.loads(deodar(*words, *files, "--yes", "--json").stdout)
    assert found["certificate_sha256"] == fingerprint(own.certificate)
    assert "--certificate" in deodar(*words, "--key", tmp_path / "key.pem", code=2).stderr


def test_a_trusted_server_is_forgotten(siem, home):
    Trusted(home).learn("https://edr:9443", "aa")
    words = ("collector", "forget-server", "kedr", "--dir", siem)
    assert "will be trusted" in deodar(*words, code=1).stdout
    assert "nobody" in deodar(*words, "--url", "other:1", "--yes").stdout
    assert "https://edr:9443" in deodar(*words, "--url", "edr:9443", "--yes").stdout
    assert Trusted(home).of("https://edr:9443") == ""
