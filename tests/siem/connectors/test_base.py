from __future__ import annotations

import pytest

from deodar.siem.connectors.udp import UdpSettings


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "a\nb"}, "name: at most 128"),
        ({"name": "x" * 129}, "name: at most 128"),
        ({"character_encoding": "rot13"}, "no character encoding that is known"),
        ({"character_encoding": "utf-99"}, "no character encoding that is known"),
    ],
)
def test_what_every_connector_has_is_checked(change, words):
    assert words in UdpSettings(port=514, **change).problem()


def test_names_and_encodings_that_fit_pass():
    settings = UdpSettings(port=514, name="Пограничный", character_encoding="cp1251", tags=["x"])
    assert settings.problem() == ""
    assert settings.kind == "udp"
