from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.kit.errors import SettingsError
from deodar.siem.connectors.kata_edr_settings import (
    KataEdrSettings,
    check,
    iso_duration,
    server_url,
)

GOOD = KataEdrSettings(urls=["edr"], external_id="7f8a1c1e-5f0d-4d58-9d5a-9f6a2b3c4d5e")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("edr.example", "https://edr.example:443"),
        ("edr.example:9443", "https://edr.example:9443"),
        ("10.0.0.1:9443", "https://10.0.0.1:9443"),
        ("[fe80::1]:9443", "https://[fe80::1]:9443"),
        ("[fe80::1%eth0]:9443", "https://[fe80::1%eth0]:9443"),
        ("https://edr.example:9443/", "https://edr.example:9443"),
    ],
)
def test_an_address_becomes_a_url_with_a_port(text, url):
    assert server_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b:1",
        "edr\t:1",
        "http://edr:1",
        "edr:port",
        "edr:99999",
        "edr:0",
        ":443",
        "edr/path",
        "user@edr",
        "[::1",
        "edr?x=1",
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(SettingsError):
        server_url(text)


@given(st.text())
def test_any_text_is_an_address_or_refused(text):
    try:
        url = server_url(text)
    except SettingsError:
        return
    assert server_url(url) == url


@pytest.mark.parametrize(
    ("seconds", "text"), [(30.0, "PT30S"), (0.5, "PT0.5S"), (90.25, "PT90.25S"), (600, "PT600S")]
)
def test_seconds_become_an_iso_duration(seconds, text):
    assert iso_duration(seconds) == text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"urls": []}, "connector.urls"),
        ({"urls": ["a b"]}, "connector.urls"),
        ({"external_id": "no"}, "connector.external_id"),
        ({"max_timeout": 60.0, "client_timeout": 60.0}, "connector.client_timeout"),
        ({"max_timeout": 1800.0}, r"client_timeout \(1800 s\) must be greater"),
        ({"pins": ["ab"]}, "connector.pins"),
        ({"ca": "x.pem", "insecure": True}, "one of pins, ca, trust_first and insecure"),
        ({"trust_first": True, "insecure": True}, "one of pins"),
        ({"start": "yesterday"}, "connector.start"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_key(change, words):
    with pytest.raises(SettingsError, match=words) as caught:
        check(msgspec.structs.replace(GOOD, **change), where="c.toml")
    assert "c.toml" in str(caught.value)


def test_good_settings_pass_and_a_client_timeout_of_zero_is_half_an_hour():
    assert check(GOOD, where="c.toml") is GOOD
    assert GOOD.patience == 1800.0


def test_the_choice_of_start_says_since_when_events_are_wanted():
    assert GOOD.since(5) == 0
    assert msgspec.structs.replace(GOOD, start="from now on").since(5) == 5
