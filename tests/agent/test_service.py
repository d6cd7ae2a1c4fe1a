from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent import status as report
from deodar.agent.detection import Choice
from deodar.agent.enrolled import load
from deodar.agent.journal.query import parse
from deodar.agent.service import Service
from deodar.agent.status import RefusedSensor
from deodar.events.builders import EventBuilder
from deodar.tasks.errors import NotStarted, PolicyRefused, WrongState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AT_ONCE = {"EventTransferSettings": {"MaximumDataTransferTime": 0.2}}


@pytest.fixture
def begin(server: Any, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start services in one enrolled folder, one after another; the last is stopped at the end."""
    directory = server.enrol(tmp_path / "agent")
    running: list[Service] = []

    def start(choice: Choice | None = None, settings: dict[str, Any] | None = None) -> Service:
        if running:
            running.pop().stop()
        service = Service(directory, load(directory), choice or Choice())
        service.tasks_settings.change("KATAEDR", settings or AT_ONCE)
        service.start()
        running.append(service)
        return service

    yield start
    for service in running:
        service.stop()


def types(server: Any) -> list[str]:
    with server.log.lock:
        return [event["EventType"] for event in server.events]


def of_type(server: Any, event_type: str) -> list[dict[str, Any]]:
    with server.log.lock:
        return [event for event in server.events if event["EventType"] == event_type]


def run_true(marker: str) -> None:
    subprocess.run(["/bin/true", marker], check=True)


def has_run(server: Any, marker: str) -> bool:
    return any(marker in e.get("StartupParameters", "") for e in of_type(server, "process"))


pytestmark = pytest.mark.root


def test_stopped_detection_stops_telemetry_and_everybody_hears_of_it(
    begin: Callable[..., Service], server: Any, until: Callable[..., Any]
) -> None:
    service = begin()
    run_true("seen-1")
    until(lambda: has_run(server, "seen-1"))
    service.tasks.stop("Behavior_Detection")
    (stopped,) = until(
        lambda: [e for e in of_type(server, "agent_task_state") if e["TaskState"] == "Stopped"]
    )
    assert (stopped["TaskName"], stopped["Initiator"]) == ("Behavior_Detection", "User")
    assert service.status().sensor is None
    assert {task.name: task.state for task in service.status().tasks}["KATAEDR"] == "Started"
    until(lambda: _synchronized_state(server, "Behavior_Detection") == "Stopped")
    run_true("unseen-2")
    service.tasks.start("Behavior_Detection")
    run_true("seen-3")
    until(lambda: has_run(server, "seen-3"))
    assert not has_run(server, "unseen-2")
    kept = service.events.select(parse("EventType == 'TaskStateChanged' and TaskId == '20'"))
    states = [record.details["TaskState"] for record in kept]
    assert states == ["Starting", "Started", "Stopping", "Stopped", "Starting", "Started"]


def _synchronized_state(server: Any, name: str) -> str:
    last = server.syncs[-1] if server.syncs else {"tasks": []}
    return next((task["state"] for task in last["tasks"] if task["name"] == name), "")


def test_kataedr_does_not_start_without_detection_and_says_why(
    begin: Callable[..., Service],
) -> None:
    service = begin()
    service.tasks.stop("KATAEDR")
    service.tasks.stop("Behavior_Detection")
    with pytest.raises(NotStarted, match="Behavior_Detection"):
        service.tasks.start("KATAEDR")
    with pytest.raises(WrongState):
        service.tasks.stop("KATAEDR")


def test_what_happens_while_kataedr_is_stopped_is_told_as_a_loss(
    begin: Callable[..., Service], server: Any, until: Callable[..., Any]
) -> None:
    service = begin()
    until(lambda: "agent_task_state" in types(server))
    service.tasks.stop("KATAEDR")
    for _ in range(5):
        run_true("not sent")
    pipeline = service.detection.pipeline
    assert pipeline is not None
    until(lambda: pipeline.counters.gated >= 5)
    service.tasks.start("KATAEDR")
    (loss,) = until(lambda: of_type(server, "telemetry_loss"))
    assert loss["LostCount"] >= 5
    assert "KATAEDR is stopped" in loss["LostReason"]
    assert not has_run(server, "not sent")


def test_server_hears_at_once_that_kataedr_was_stopped_on_the_host(
    begin: Callable[..., Service], server: Any, until: Callable[..., Any]
) -> None:
    service = begin()
    until(lambda: service.integration.is_connected)
    service.tasks.stop("KATAEDR")
    assert _synchronized_state(server, "KATAEDR") == "Stopping"
    states = [e["TaskState"] for e in of_type(server, "agent_task_state")]
    assert states[-1] == "Stopping"


def test_policy_is_put_into_force_and_holds_its_settings(
    begin: Callable[..., Service], server: Any, until: Callable[..., Any]
) -> None:
    server.policy = {
        "version": 3,
        "name": "default",
        "settings": {"KATAEDR": {"RequestTimeout": 7}},
    }
    service = begin()
    until(lambda: service.status().policy.version == 3)
    assert service.tasks_settings.kataedr.request_timeout == 7
    with pytest.raises(PolicyRefused) as refused:
        service.tasks_settings.change("KATAEDR", {"RequestTimeout": 9})
    assert refused.value.exit_code == 68
    until(lambda: server.syncs[-1]["policy_version"] == 3)


def test_policy_that_cannot_be_used_is_refused_and_told(
    begin: Callable[..., Service], server: Any, until: Callable[..., Any]
) -> None:
    server.policy = {"version": 4, "name": "default", "settings": {"KATAEDR": {"Nonsense": 7}}}
    service = begin()
    problem = until(lambda: service.status().policy.problem)
    assert "Nonsense" in problem
    (record,) = service.events.select(parse("EventType == 'PolicyRefused'"), 1)
    assert "Nonsense" in record.details["Reason"]
    service.integration.synchronize()
    until(lambda: "Nonsense" in server.syncs[-1]["status"]["policy_problem"])


def test_settings_are_followed_while_the_tasks_run(
    begin: Callable[..., Service], server: Any, until: Callable[..., Any]
) -> None:
    service = begin()
    service.tasks_settings.change(
        "Behavior_Detection",
        {"UseTrustedPrograms": True, "TrustedPrograms": [{"ProgramPath": "/usr/bin/true"}]},
    )
    run_true("trusted-1")
    subprocess.run(["/bin/false", "other-2"], check=False)
    until(lambda: has_run(server, "other-2"))
    assert not has_run(server, "trusted-1")
    assert service.status().exclusions.in_force
    service.tasks_settings.change("Application", {"UseMDR": True})
    run_true("no-longer-3")
    until(lambda: has_run(server, "no-longer-3"))
    shown = service.status().exclusions
    assert (shown.in_force, shown.rules, shown.note) == (
        False,
        1,
        "not applied: MDR integration is on",
    )


def test_replay_goes_through_the_same_parts_and_ends(
    begin: Callable[..., Service], server: Any, until: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(EventBuilder(3).ndjson(500))
    service = begin(Choice(replay=file, exit_at_end=True))
    until(service.is_done)
    assert server.ids() == [json.loads(line)["Id"] for line in file.read_bytes().splitlines()]


def test_losses_and_old_events_are_seen_to_without_a_sensor(
    begin: Callable[..., Service], server: Any, until: Callable[..., Any]
) -> None:
    service = begin()
    service.tasks.stop("Behavior_Detection")
    service.losses.add(4, "spool", "for a test")
    service.look_after()
    until(lambda: [e for e in of_type(server, "telemetry_loss") if e["LostCount"] == 4])


def test_losses_are_events_on_the_host_too_and_outlive_the_stop(
    begin: Callable[..., Service],
) -> None:
    service = begin()
    service.losses.add(4, "spool", "for a test")
    service.look_after()
    service.losses.add(2, "spool", "for a test")
    service.look_after()  # not yet again: at the stop at the latest
    (record,) = service.events.select(parse("EventType == 'TelemetryLoss'"))
    assert record.details == {"Stage": "spool", "Reason": "for a test", "Count": "4"}
    again = begin()
    told = again.events.select(parse("EventType == 'TelemetryLoss' and Reason == 'for a test'"))
    assert [record.details["Count"] for record in told] == ["4", "2"]


def test_sensor_that_is_passed_over_is_an_event(begin: Callable[..., Service]) -> None:
    service = begin()
    service.detection.refused = [RefusedSensor("best", "not on this host")]
    service.look_after()
    (record,) = service.events.select(parse("EventType == 'SensorUnavailable'"))
    assert (record.details["Sensor"], record.danger_level) == ("best", "Warning")


def test_status_after_the_end_tells_of_the_run(
    begin: Callable[..., Service], until: Callable[..., Any]
) -> None:
    tight = {"MaximumNumberOfEventsInHour": 1, "EventLimitExceededPercentage": 5}
    first = begin(settings={"EventTransferSettings": {"MaximumDataTransferTime": 0.1} | tight})

    def is_held_back() -> bool:
        run_true("many")
        return first.status().throttle.held_back > 0

    until(is_held_back)
    begin()
    assert first.last_status is not None
    assert first.last_status.throttle.held_back > 0


def test_last_contact_is_known_over_a_restart_and_a_stopped_task(
    begin: Callable[..., Service], server: Any, until: Callable[..., Any]
) -> None:
    first = begin()
    contact = until(lambda: first.status().uplink.last_contact)
    first.tasks.stop("KATAEDR")
    assert first.status().uplink.last_contact >= contact
    report.write(first.directory, first.status())
    server.cut_port()
    again = begin()
    assert again.status().uplink.last_contact >= contact
    assert again.status().uplink.last_sync is not None


def test_certificate_that_will_end_is_told_once_a_day(begin: Callable[..., Service]) -> None:
    service = begin()
    service.certificates.remove("client")
    service.look_after()
    service.look_after()
    found = list(service.events.select(parse("EventType == 'CertificateProblem'")))
    assert any("missing" in record.details["Problem"] for record in found)
