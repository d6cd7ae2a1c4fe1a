from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from tests.agent.small_agent import SmallAgent

from deodar.agent.administration import OFFLINE, Administration
from deodar.agent.control.errors import NotRunning
from deodar.agent.control.protocol import Stream
from deodar.agent.errors import CertificateRefused
from deodar.agent.journal.errors import QueryError
from deodar.kit.directory import StateDirectory
from deodar.tasks.errors import (
    InsecurePath,
    InvalidSetting,
    NotStarted,
    PolicyRefused,
    TaskError,
    UnknownTask,
    WrongState,
)
from deodar.tasks.policy import Policy
from deodar.tls.certificates import make_authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[SmallAgent]:
    made = SmallAgent(StateDirectory.create(tmp_path / "agent"))
    yield made
    made.tasks.stop_all()
    made.events.close()


def test_tasks_are_listed_started_and_stopped(agent: SmallAgent) -> None:
    assert {state["name"] for state in agent.ask("task.list")} >= {"Behavior_Detection", "KATAEDR"}
    with pytest.raises(NotStarted, match="Behavior_Detection"):
        agent.ask("task.start", task="24")
    assert agent.ask("task.start", task="20")["state"] == "Started"
    assert agent.ask("task.state", task="kataedr")["state"] == "Started", "it was wanted"
    with pytest.raises(WrongState):
        agent.ask("task.start", task="KATAEDR")
    assert agent.ask("task.stop", task="KATAEDR")["state"] == "Stopped"
    assert agent.ask("task.state", task="KATAEDR")["state"] == "Stopped"
    with pytest.raises(UnknownTask):
        agent.ask("task.state", task="Firewall")


def test_settings_are_read_and_changed(agent: SmallAgent) -> None:
    changed = agent.ask("settings.set", task="24", values={"SynchronizationPeriod": 7})
    assert changed == {"changed": ["SynchronizationPeriod"], "ignored": []}
    found = agent.ask("settings.get", task="kataedr")
    assert found["task"] == "KATAEDR"
    assert found["values"]["SynchronizationPeriod"] == 7
    assert found["single"] == []
    assert agent.ask("settings.default", task="24")["changed"] == ["SynchronizationPeriod"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("enabletelemetry", [["EnableTelemetry", "Yes"]]),
        ("MaximumDataTransferTime", [["EventTransferSettings.MaximumDataTransferTime", "30"]]),
        ("Port", [["Endpoints.item_0000.Port", "443"]]),
        (
            "Endpoints",
            [["Endpoints.item_0000.Address", "127.0.0.1"], ["Endpoints.item_0000.Port", "443"]],
        ),
    ],
)
def test_single_settings_are_found_by_any_part_of_their_name(
    agent: SmallAgent, name: str, shown: list[list[str]]
) -> None:
    assert agent.ask("settings.get", task="KATAEDR", names=[name])["single"] == shown


def test_unknown_single_setting_names_the_near_one(agent: SmallAgent) -> None:
    with pytest.raises(InvalidSetting, match="did you mean EnableTelemetry"):
        agent.ask("settings.get", task="KATAEDR", names=["EnableTelemetri"])
    empty = agent.ask("settings.get", task="Behavior_Detection", names=["TrustedPrograms"])
    assert empty["single"] == [["TrustedPrograms", ""]]


def test_export_hides_the_password_and_an_import_keeps_it(agent: SmallAgent) -> None:
    proxy = {"UseProxy": True, "ProxyServer": "user:secret@proxy:3128"}
    agent.ask("settings.set", task="Application", values=proxy)
    exported = agent.ask("settings.export")
    assert "secret" not in str(exported)
    assert "secret" not in str(agent.ask("settings.get", task="application"))
    agent.ask("settings.import", values=exported)
    assert agent.settings.application.proxy_server == "user:secret@proxy:3128"


def test_policy_is_shown_without_password_and_holds_its_settings(agent: SmallAgent) -> None:
    assert agent.ask("policy.show") is None
    held = {"KATAEDR": {"SynchronizationPeriod": 9}, "Application": {"ProxyServer": "u:pw@p:1"}}
    agent.settings.apply_policy(Policy(version=3, settings=held))
    shown = agent.ask("policy.show")
    assert shown["version"] == 3
    assert shown["settings"]["KATAEDR"] == {"SynchronizationPeriod": 9}
    assert "pw" not in str(shown)
    with pytest.raises(PolicyRefused):
        agent.ask("settings.set", task="24", values={"SynchronizationPeriod": 5})


def test_certificates_are_set_shown_and_removed(agent: SmallAgent) -> None:
    heard: list[str] = []
    agent.certificates.subscribe(heard.append)
    pem = make_authority("edr").certificate.decode()
    assert agent.ask("certificate.show", kind="server") is None
    taken = agent.ask("certificate.set", kind="server", pem=pem)
    assert agent.ask("certificate.show", kind="server") == taken
    assert agent.ask("certificate.remove", kind="server") is True
    assert agent.ask("certificate.remove", kind="server") is False
    assert heard == ["server", "server"]
    with pytest.raises(CertificateRefused):
        agent.ask("certificate.show", kind="proxy")


def test_folder_that_others_may_write_takes_no_certificate(agent: SmallAgent) -> None:
    agent.directory.path.chmod(0o777)
    for name in ("certificate.set", "certificate.remove"):
        with pytest.raises(InsecurePath) as raised:
            agent.ask(name, kind="server", pem="")
        assert raised.value.exit_code == 76


def test_events_are_selected(agent: SmallAgent) -> None:
    for number in range(3):
        agent.events.add("SettingsProblem", Problem=str(number))
    found = list(agent.ask("events.query", query="", last=2, reverse=True))
    assert [one["Problem"] for one in found] == ["2", "1"]
    query = "Problem == '0'"
    assert len(list(agent.ask("events.query", query=query))) == 1
    with pytest.raises(QueryError):
        agent.ask("events.query", query="nonsense")


def test_events_are_followed_until_closed(agent: SmallAgent) -> None:
    stream = agent.ask("events.follow", query="EventType == 'SettingsProblem'")
    assert isinstance(stream, Stream)
    agent.events.add("ApplicationStarted")
    agent.events.add("SettingsProblem", Problem="x")
    assert next(stream.items)["Problem"] == "x"
    stream.close()
    assert list(itertools.islice(stream.items, 1)) == []


def test_status_is_given(agent: SmallAgent) -> None:
    assert agent.ask("status")["agent_id"] == "agent-7"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("task.state", {}),
        ("task.state", {"task": 20}),
        ("settings.set", {"task": "20"}),
        ("settings.set", {"task": "20", "values": []}),
        ("settings.get", {"task": "20", "names": "x"}),
        ("settings.get", {"task": "20", "names": [1]}),
        ("certificate.set", {"kind": "server"}),
        ("certificate.set", {"kind": "server", "pem": "", "facts": {"subject": 1}}),
        ("events.query", {"query": 1}),
        ("events.query", {"last": -1}),
        ("events.query", {"last": "x"}),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(
    agent: SmallAgent, name: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(TaskError, match="the argument") as raised:
        agent.ask(name, **arguments)
    assert raised.value.exit_code == 1


def test_without_a_running_agent_the_rest_says_how_to_start_it(agent: SmallAgent) -> None:
    offline = Administration(
        agent.directory, agent.settings, None, None, None, agent.certificates
    ).handlers()
    given = {"task": "20", "query": ""}
    for name in set(offline) - OFFLINE:
        with pytest.raises(NotRunning, match="deodar agent run") as raised:
            offline[name](given)
        assert raised.value.exit_code == 64
    assert list(offline["events.query"](given)) == []
