from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from tests.agent.small_agent import SmallAgent, serving

from deodar.agent import cli_reach
from deodar.agent.cli_reach import call, stream
from deodar.agent.control.errors import ControlRefused, NotRunning
from deodar.agent.control.server import ControlServer
from deodar.kit.directory import StateDirectory
from deodar.kit.errors import StateError
from deodar.tasks.errors import UnknownTask
from deodar.tls.certificates import make_authority

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory.create(tmp_path / "agent")


def test_running_agent_does_it(directory: StateDirectory) -> None:
    with serving(directory) as agent:
        call(directory, "settings.set", task="24", values={"SynchronizationPeriod": 8})
        assert agent.settings.kataedr.synchronization_period == 8
        agent.events.add("SettingsProblem", Problem="x")
        assert [one["Problem"] for one in stream(directory, "events.query", query="")] == ["x"]
        with pytest.raises(ControlRefused) as raised:
            call(directory, "task.state", task="x")
        assert raised.value.exit_code == 65


def test_without_an_agent_settings_and_certificates_change_in_place(
    directory: StateDirectory,
) -> None:
    call(directory, "settings.set", task="24", values={"SynchronizationPeriod": 8})
    call(directory, "settings.set", task="Application", values={"UseMDR": True})
    pem = make_authority("edr").certificate.decode()
    call(directory, "certificate.set", kind="server", pem=pem)
    with serving(directory) as agent:
        assert agent.settings.kataedr.synchronization_period == 8
        assert agent.certificates.has("server")
        told = [(one["EventType"], one["TaskName"]) for one in stream(directory, "events.query")]
    assert told == [
        ("SettingsChanged", "KATAEDR"),
        ("SettingsChanged", ""),
        ("CertificateChanged", ""),
    ]


def test_without_an_agent_stored_events_are_read(directory: StateDirectory) -> None:
    assert list(stream(directory, "events.query", query="")) == []
    with serving(directory) as agent:
        agent.events.add("SettingsProblem", Problem="x")
    assert [one["Problem"] for one in stream(directory, "events.query", query="")] == ["x"]


@pytest.mark.parametrize("name", ["task.list", "task.start", "status"])
def test_what_needs_an_agent_says_how_to_start_it(directory: StateDirectory, name: str) -> None:
    with pytest.raises(NotRunning, match="deodar agent run --dir") as raised:
        call(directory, name, task="20")
    assert raised.value.exit_code == 64
    with pytest.raises(NotRunning):
        list(stream(directory, "events.follow"))


def test_errors_in_place_are_their_own(directory: StateDirectory) -> None:
    with pytest.raises(UnknownTask):
        call(directory, "settings.get", task="x")


def test_folder_in_use_without_a_socket_is_left_alone(
    directory: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What holds the folder and does not answer is no agent that could be asked."""
    monkeypatch.setattr(cli_reach, "PATIENCE", 0.2)
    with directory.lock(), pytest.raises(StateError, match="is in use by process"):
        call(directory, "settings.set", task="24", values={"SynchronizationPeriod": 8})
    assert not directory.has("settings/KATAEDR.ini")


def test_folder_that_another_command_holds_for_a_moment_is_waited_for(
    directory: StateDirectory,
) -> None:
    done = threading.Event()

    def change() -> None:
        call(directory, "settings.set", task="24", values={"SynchronizationPeriod": 8})
        assert list(stream(directory, "events.query", query="TaskId == '24'"))
        done.set()

    with directory.lock():
        other = threading.Thread(target=change)
        other.start()
        assert not done.wait(0.3)
    assert done.wait(20)
    other.join(20)


def test_agent_that_starts_just_now_is_waited_for(directory: StateDirectory) -> None:
    done = threading.Event()

    def change() -> None:
        call(directory, "settings.set", task="24", values={"SynchronizationPeriod": 8})
        done.set()

    agent = SmallAgent(directory)
    server = ControlServer(directory.socket, agent.administration.handlers())
    with directory.lock():
        other = threading.Thread(target=change)
        other.start()
        assert not done.wait(0.3)
        server.start()
        try:
            assert done.wait(20)
        finally:
            server.stop()
            agent.events.close()
    other.join(20)
    assert agent.settings.kataedr.synchronization_period == 8
