from __future__ import annotations

import ssl

import pytest

from deodar.kit.errors import SettingsError
from deodar.siem.connectors.kafka import KafkaSettings
from deodar.siem.destinations.trust import TlsSettings
from deodar.siem.kafka import link_options, link_problem


def settings(**changes) -> KafkaSettings:
    return KafkaSettings(topics=["t"], **{"brokers": ["h:9092"], **changes})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"brokers": []}, "brokers: give"),
        ({"brokers": ["h"]}, "brokers: 'h'"),
        ({"brokers": ["h:x"]}, "brokers:"),
        ({"sasl": "PLAIN"}, "sasl: give"),
        ({"user": "u", "password_file": "p"}, "sasl: give"),
        ({"tls": TlsSettings(ca="x")}, "no effect"),
        ({"security": "tls", "tls": TlsSettings(ca="x", insecure=True)}, "tls: give one"),
    ],
)
def test_what_cannot_be_is_told(change, words):
    assert words in link_problem(settings(**change))
    assert link_problem(settings()) == ""


@pytest.mark.parametrize(
    ("security", "sasl", "protocol"),
    [
        ("plaintext", "none", "PLAINTEXT"),
        ("tls", "none", "SSL"),
        ("plaintext", "PLAIN", "SASL_PLAINTEXT"),
        ("tls", "SCRAM-SHA-512", "SASL_SSL"),
    ],
)
def test_security_and_sasl_become_options(tmp_path, security, sasl, protocol):
    (tmp_path / "p").write_text("secret\n")
    who = {"user": "u", "password_file": "p"} if sasl != "none" else {}
    options = link_options(settings(security=security, sasl=sasl, **who), tmp_path)
    assert options["security_protocol"] == protocol
    assert isinstance(options.get("ssl_context"), ssl.SSLContext) == (security == "tls")
    assert (options.get("sasl_mechanism"), options.get("sasl_plain_password")) == (
        (sasl, "secret") if who else (None, None)
    )


def test_an_empty_password_is_told(tmp_path):
    (tmp_path / "p").write_text("\n")
    with pytest.raises(SettingsError, match="empty"):
        link_options(settings(sasl="PLAIN", user="u", password_file="p"), tmp_path)
