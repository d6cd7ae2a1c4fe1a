from __future__ import annotations

import pytest

from deodar.kit.errors import SettingsError
from deodar.siem.destinations.registry import KINDS, open_destination, read

GOOD = {
    "file": {"path": "events.jsonl"},
    "syslog": {"address": "127.0.0.1:514"},
    "http": {"urls": ["http://127.0.0.1:1/in"]},
    "kafka": {"brokers": ["127.0.0.1:9092"], "topic": "events"},
    "opensearch": {"urls": ["http://127.0.0.1:9200"]},
    "nats-jetstream": {"urls": ["nats://127.0.0.1:4222"], "subject": "events.all"},
    "deodar": {"url": "https://siem:7210", "certificate": "c.pem", "authority": "a.pem"},
}


def tables(**changes):
    return [{"name": "archive", "kind": "file", "path": "x", **changes}]


def test_every_kind_reads_its_least_settings():
    given = [{"name": kind, "kind": kind, **rest} for kind, rest in GOOD.items()]
    assert {settings.kind for settings in read(given, where="x")} == set(KINDS) == set(GOOD)


async def test_what_is_opened_is_what_was_named(tmp_path):
    (settings,) = read(tables(), where="x")
    destination = open_destination(settings, tmp_path)
    assert "0 bytes" in await destination.check()
    await destination.close()
    assert (tmp_path / "x").is_file()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "amqp"}, r"c\.toml: destinations\[0\]\.kind: 'amqp' is no kind"),
        ({"pth": "x"}, "unknown field `pth`"),
        ({"path": ""}, r"destinations\[0\]\.path: give the name"),
        ({"name": "storage"}, "is the SIEM's own"),
        ({"name": "a/b"}, "cannot name a destination"),
        ({"filter": "Nam = 'x'"}, r"filter: .*did you mean Name\?"),
        ({"timeout": 0}, "timeout"),
        ({"rotate_bytes": -1}, "rotate_bytes"),
    ],
)
def test_wrong_settings_are_refused_with_place_and_key(changes, told):
    with pytest.raises(SettingsError, match=told):
        read(tables(**changes), where="c.toml")


def test_a_name_is_given_once():
    with pytest.raises(SettingsError, match="two destinations have the name archive"):
        read([*tables(), *tables()], where="c.toml")


@pytest.mark.parametrize(
    ("kind", "changes", "told"),
    [
        ("syslog", {"address": "host"}, "is not host:port"),
        ("syslog", {"address": "host:70000"}, "is not host:port"),
        ("syslog", {"tls": {"pins": ["0"], "insecure": True}}, "one of pins"),
        ("http", {"urls": []}, "at least one"),
        ("http", {"urls": ["ftp://x"]}, "no http or https URL"),
        ("http", {"urls": ["http://a b"]}, "no http or https URL"),
        ("http", {"form": "cef", "layout": "array"}, "needs a form of JSON"),
        ("nats-jetstream", {"urls": ["http://x"]}, "is not nats://"),
        ("nats-jetstream", {"subject": "a b"}, "subject"),
        ("nats-jetstream", {"user": "x"}, "belong together"),
        ("deodar", {"url": "http://x"}, "only https"),
        ("kafka", {"brokers": []}, "brokers"),
        ("kafka", {"topic": "a b"}, "topic"),
        ("kafka", {"key": "Nam"}, "no field Nam"),
        ("kafka", {"sasl": "PLAIN"}, "give sasl, user and password_file together"),
        ("opensearch", {"urls": []}, "urls: give one"),
        ("opensearch", {"index": "Events"}, "lower case"),
        ("opensearch", {"data_stream": True}, "no date in its name"),
        ("opensearch", {"user": "x"}, "password_file"),
    ],
)
def test_each_kind_checks_its_own(kind, changes, told):
    with pytest.raises(SettingsError, match=told):
        read([{"name": "x", "kind": kind, **GOOD[kind], **changes}], where="c.toml")
