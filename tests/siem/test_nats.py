from __future__ import annotations

import ssl

import pytest

from deodar.kit.errors import SettingsError
from deodar.siem.destinations.nats_jetstream import NatsSettings
from deodar.siem.destinations.trust import TlsSettings
from deodar.siem.nats import link_options, link_problem


def settings(**changes) -> NatsSettings:
    changes = {"urls": ["nats://h:4222"], **changes}
    return NatsSettings(name="x", kind="nats-jetstream", subject="s", **changes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"urls": []}, "urls: give"),
        ({"urls": ["h:4222"]}, "urls: 'h:4222'"),
        ({"urls": ["nats://h :1"]}, "urls:"),
        ({"user": "x"}, "user:"),
        ({"tls": TlsSettings(ca="x", insecure=True)}, "tls:"),
    ],
)
def test_what_cannot_be_is_told(change, words):
    assert words in link_problem(settings(**change))


def test_secrets_and_tls_become_options(tmp_path):
    (tmp_path / "p").write_text("secret\n")
    options = link_options(settings(user="u", password_file="p"), tmp_path)
    assert (options["user"], options["password"]) == ("u", "secret")
    assert "tls" not in options
    options = link_options(settings(urls=["tls://h:1"], token_file="p"), tmp_path)
    assert options["token"] == "secret"
    assert isinstance(options["tls"], ssl.SSLContext)


def test_an_empty_secret_is_told(tmp_path):
    (tmp_path / "p").write_text("\n")
    with pytest.raises(SettingsError, match="empty"):
        link_options(settings(token_file="p"), tmp_path)
