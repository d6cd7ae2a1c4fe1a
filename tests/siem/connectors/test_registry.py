from __future__ import annotations

import msgspec
import pytest
from tests.siem.connectors.kept import KeptSink

from deodar.kit.errors import SettingsError
from deodar.siem.connectors import registry
from deodar.siem.connectors.tcp import TcpConnector, TcpSettings

KINDS = {"file", "http", "http-poll", "kafka", "kata/edr", "nats-jetstream", "tcp", "udp"}


def test_every_kind_has_its_name_in_its_settings():
    assert set(registry.KINDS) == KINDS
    for name, kind in registry.KINDS.items():
        assert kind.settings.__struct_config__.tag == name
        assert kind.summary


def test_settings_are_read_by_their_kind_and_opened(tmp_path):
    settings = registry.read({"kind": "tcp", "port": 5514}, where="x")
    assert settings == TcpSettings(port=5514)
    assert isinstance(registry.open_connector(settings, tmp_path, KeptSink()), TcpConnector)
    assert registry.facts(settings, tmp_path) == {"listens_on": "127.0.0.1, port 5514, without TLS"}
    assert registry.identity(settings, tmp_path) == "tcp:127.0.0.1:5514"


def test_any_settings_are_told_apart_by_the_key_kind():
    found = msgspec.convert({"kind": "file", "paths": ["/x"]}, registry.AnySettings)
    assert found.kind == "file"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "x.kind: None is no kind of connector; there are: file, http"),
        ({"kind": "pigeon"}, "'pigeon' is no kind"),
        ({"kind": "tcp"}, r"x \(kind tcp\): .*`port`"),
        ({"kind": "tcp", "port": 0}, r"x \(kind tcp\): .*\$\.port"),
        ({"kind": "tcp", "port": 1, "delimeter": "x"}, "delimeter"),
        ({"kind": "tcp", "port": 1, "host": "x"}, "x.host: 'x' is no IP address"),
    ],
)
def test_what_cannot_be_is_told_by_its_key(table, words):
    with pytest.raises(SettingsError, match=words):
        registry.read(table, where="x")
