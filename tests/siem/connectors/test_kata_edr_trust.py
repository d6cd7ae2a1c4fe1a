"""Trust on first use against a real server; the other ways are in test_kata_edr_driver."""

from __future__ import annotations

import ssl

import httpx
import msgspec
import pytest
from tests.conformance.connector.server import TroubleServer

from deodar.kit.directory import StateDirectory
from deodar.kit.errors import StateError
from deodar.siem.connectors.kata_edr_settings import KataEdrSettings
from deodar.siem.connectors.kata_edr_trust import server_contexts
from deodar.siem.connectors.trusted import Trusted
from deodar.tls.certificates import self_signed

IDENTITY = self_signed("collector")
ID = "7f8a1c1e-5f0d-4d58-9d5a-9f6a2b3c4d5e"


@pytest.fixture
def server():
    with TroubleServer() as made:
        yield made


def settings(server, **changes):
    made = KataEdrSettings(urls=[server.url], external_id=ID, trust_first=True)
    return msgspec.structs.replace(made, **changes)


def ask(context, server):
    with httpx.Client(verify=context, trust_env=False) as client:
        return client.get(f"https://{server.url}/kata/events_api/v1/{ID}/events").status_code


def test_the_first_certificate_is_kept_before_a_byte_is_sent_and_another_one_refused(
    server, tmp_path
):
    home = StateDirectory(tmp_path)
    (context,) = server_contexts(settings(server), IDENTITY, home).values()
    assert ask(context, server) == 200
    assert Trusted(home).of(f"https://{server.url}") == server.pin
    server.renew()
    for again in (context, *server_contexts(settings(server), IDENTITY, home).values()):
        with pytest.raises(httpx.ConnectError, match="another server"):
            ask(again, server)
    assert len(server.asked) == 1


def test_where_the_certificate_cannot_be_kept_nobody_is_trusted(server, tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise StateError("no space left")

    home = StateDirectory(tmp_path)
    (context,) = server_contexts(settings(server), IDENTITY, home).values()
    monkeypatch.setattr(Trusted, "learn", refuse)
    with pytest.raises(httpx.ConnectError, match="no space left"):
        ask(context, server)
    assert server.asked == []


def test_each_server_has_a_context(server, tmp_path):
    two = settings(server, urls=["a:1", "b:2"], trust_first=False, pins=["00" * 32])
    contexts = server_contexts(two, IDENTITY, StateDirectory(tmp_path))
    assert list(contexts) == ["https://a:1", "https://b:2"]
    assert all(isinstance(one, ssl.SSLContext) for one in contexts.values())


def test_an_authority_that_cannot_be_read_is_told(server, tmp_path):
    chosen = settings(server, trust_first=False, ca="absent.pem")
    with pytest.raises(StateError, match=r"absent\.pem"):
        server_contexts(chosen, IDENTITY, StateDirectory(tmp_path))
