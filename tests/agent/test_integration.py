from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.certificates import Certificates
from deodar.agent.enrolled import load
from deodar.agent.integration import Integration
from deodar.agent.loss import LossBook
from deodar.agent.spool import Spool
from deodar.agent.tasks.store import SettingsStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Parts:
    """An integration with what it stands on, enrolled at the scripted server."""

    def __init__(self, server: Any, folder: Path) -> None:
        directory = server.enrol(folder)
        settings = load(directory)
        self.losses = LossBook()
        self.spool = Spool(folder / "spool", settings.spool, self.losses)
        self.store = SettingsStore(directory)
        self.certificates = Certificates(directory)
        self.integration = Integration(
            directory,
            settings,
            self.store,
            self.certificates,
            self.spool,
            self.losses,
            report=lambda: {"tasks": []},
            on_policy=lambda _: None,
            notify=lambda *_: None,
        )


@pytest.fixture
def parts(server: Any, tmp_path: Path) -> Iterator[Parts]:
    made = Parts(server, tmp_path / "agent")
    yield made
    made.integration.stop()
    made.spool.close()


def test_it_synchronizes_when_it_starts_and_when_it_is_told_to(parts: Parts, server: Any, until):
    parts.integration.start()
    until(lambda: server.greetings == 1)
    until(lambda: parts.integration.is_connected)
    parts.integration.synchronize()
    until(lambda: server.greetings == 2)
    assert parts.integration.failure == ""


def test_stopped_it_names_the_first_server_and_does_nothing(parts: Parts, server: Any):
    assert parts.integration.server == server.url.removeprefix("https://")
    assert not parts.integration.is_connected
    parts.integration.synchronize()
    parts.integration.hurry()
    assert server.greetings == 0


def test_connection_is_made_of_the_settings(parts: Parts):
    parts.store.change(
        "KATAEDR",
        {
            "Endpoints": [{"Address": "a.example", "Port": 1}, {"Address": "::1", "Port": 2}],
            "ConnectionTimeout": 3,
            "RequestTimeout": 4,
            "SynchronizationPeriod": 2,
            "EnableTelemetry": False,
            "EventTransferSettings": {"MaximumDataTransferTime": 5},
        },
    )
    parts.store.change("Application", {"UseProxy": True, "ProxyServer": "me:pw@[::1]:3128"})
    made = parts.integration.connection()
    assert made.servers == (("a.example", 1), ("::1", 2))
    assert (made.connection_timeout, made.request_timeout, made.maximum_delay) == (3, 4, 5)
    assert (made.synchronization_period, made.send) == (120, False)
    assert made.proxy is not None
    assert (made.proxy.host, made.proxy.port, made.proxy.password) == ("::1", 3128, "pw")
    assert made.context is not None


def test_missing_certificate_is_told_and_mended_without_a_restart(parts: Parts, server: Any, until):
    pem = parts.certificates.server_pem()
    parts.certificates.remove("server")
    parts.integration.start()
    assert "certificate server add" in parts.integration.connection().context_problem
    assert not parts.integration.is_connected
    parts.certificates.set("server", pem.decode())
    parts.integration.apply()
    until(lambda: server.greetings == 1)
