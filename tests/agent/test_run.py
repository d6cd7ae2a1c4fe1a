from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deodar import __version__
from deodar.agent import reasons, status
from deodar.agent.announcer import KILLED, STOPPED
from deodar.agent.detection import Choice
from deodar.agent.errors import NotEnrolledError
from deodar.agent.run import run
from deodar.agent.settings import TransferSettings
from deodar.agent.tasks.store import SettingsStore
from deodar.events.builders import EventBuilder
from deodar.kit.children import Child
from deodar.kit.directory import StateDirectory
from deodar.kit.errors import StateError
from soak.watch import look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVENTS = 10_000
AT_ONCE = {
    "EventTransferSettings": {"MaximumDataTransferTime": 0.2, "UseRequestCountLimits": False}
}
AGENT = (sys.executable, "-m", "deodar", "agent")
FORBIDDEN = (
    "pyarrow",
    "chdb",
    "starlette",
    "sqlalchemy",
    "uvicorn",
    "OpenSSL",
    "cryptography",
    "numpy",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "events.ndjson"
    path.write_bytes(EventBuilder(7).ndjson(EVENTS))
    return path


@pytest.fixture
def agent(tmp_path: Path, server: Any) -> Iterator[Callable[..., Child]]:
    """Start an agent enrolled at the scripted server; its folder is tmp_path/agent."""
    children: list[Child] = []
    directory = server.enrol(tmp_path / "agent", transfer=TransferSettings(maximum_events=500))
    SettingsStore(directory).change("KATAEDR", AT_ONCE)

    def begin(*options: object) -> Child:
        words = [*AGENT, "run", "--dir", str(tmp_path / "agent"), *map(str, options)]
        child = Child(f"agent-{len(children)}", words, tmp_path)
        children.append(child)
        return child.start()

    yield begin
    for child in children:
        if child.alive:
            child.stop()


def ids_of(file: Path) -> list[str]:
    return [json.loads(line)["Id"] for line in file.read_bytes().splitlines()]


def test_replay_delivers_every_event_once_and_ends(
    agent: Callable[..., Child], server: Any, file: Path, until: Callable[..., Any], tmp_path: Path
) -> None:
    child = agent("--replay", file, "--exit-at-end")
    ready = child.ready(30)
    assert ready["ready"] is True
    assert ready["sensor"] == "replay"
    until(lambda: not child.alive, 60)
    assert server.ids() == ids_of(file)
    told = status.read(StateDirectory(tmp_path / "agent"))
    assert told is not None
    assert told.uplink.events == EVENTS
    assert told.losses_by_stage == {}
    assert not told.is_running()


@pytest.mark.parametrize("trouble", ["none", "answers get lost"])
def test_every_event_arrives_once_though_the_agent_is_killed(
    trouble: str,
    agent: Callable[..., Child],
    server: Any,
    steps: Any,
    file: Path,
    until: Callable[..., Any],
) -> None:
    if trouble != "none":
        server.script.extend([None, None, steps.Lose(), steps.Reset(), steps.Say(503)] * 2)
    for share in (1, 2, 3):
        child = agent("--replay", file, "--rate", 10_000)
        until(lambda share=share: len(server.events) >= EVENTS * share // 5, 60)
        os.kill(child.pid, signal.SIGKILL)
        until(lambda child=child: not child.alive)
    last = agent("--replay", file, "--exit-at-end")
    until(lambda: not last.alive, 60)
    assert server.ids() == ids_of(file)


def test_every_event_arrives_once_though_connections_break(
    agent: Callable[..., Child],
    server: Any,
    steps: Any,
    file: Path,
    until: Callable[..., Any],
) -> None:
    child = agent("--replay", file, "--rate", 10_000, "--exit-at-end")
    until(lambda: len(server.events) > EVENTS // 4, 60)
    server.script.extend([steps.Reset()] * 3)
    until(lambda: not child.alive, 60)
    assert server.ids() == ids_of(file)


def test_stopped_agent_keeps_what_the_server_did_not_take(
    agent: Callable[..., Child],
    server: Any,
    steps: Any,
    file: Path,
    until: Callable[..., Any],
    tmp_path: Path,
) -> None:
    server.script.extend([steps.Say(503, headers=(("Retry-After", "300"),))] * 2)
    child = agent("--replay", file)
    until(lambda: server.requests)
    os.kill(child.pid, signal.SIGTERM)
    until(lambda: not child.alive, 20)
    assert server.ids() == []
    told = status.read(StateDirectory(tmp_path / "agent"))
    assert told is not None
    assert told.spool.events > 0
    assert "503" in told.uplink.problem
    server.script.clear()
    again = agent("--replay", file, "--exit-at-end")
    until(lambda: not again.alive, 60)
    assert server.ids() == ids_of(file)


@pytest.mark.root
def test_agent_that_was_ended_by_force_tells_that_nobody_watched(
    agent: Callable[..., Child], server: Any, until: Callable[..., Any]
) -> None:
    def told(event_type: str) -> list[dict[str, Any]]:
        with server.log.lock:
            return [event for event in server.events if event["EventType"] == event_type]

    first = agent("--sensor", "proc")
    until(lambda: len(told("agent_task_state")) == 2)
    first.kill()
    assert told("telemetry_loss") == []
    second = agent("--sensor", "proc")
    (loss,) = until(lambda: told("telemetry_loss"))
    assert (loss["LostStage"], loss["LostReason"]) == ("agent", KILLED)
    until(lambda: len(told("agent_task_state")) == 4)
    second.stop()
    agent("--sensor", "proc")
    losses = until(lambda: len(told("telemetry_loss")) == 2 and told("telemetry_loss"))
    assert losses[1]["LostReason"] == STOPPED
    assert losses[0]["LostLastTime"] < losses[1]["LostFirstTime"] < losses[1]["LostLastTime"]


@pytest.mark.root
def test_each_start_and_each_stop_is_told_with_its_reason(
    agent: Callable[..., Child], server: Any, until: Callable[..., Any]
) -> None:
    def told(event_type: str) -> list[dict[str, Any]]:
        with server.log.lock:
            return [event for event in server.events if event["EventType"] == event_type]

    first = agent("--sensor", "proc")
    (start,) = until(lambda: told("agent_start"))
    assert (start["AgentReason"], start["AgentUnclean"]) == (reasons.BY_HAND, 0)
    assert start["AgentVersion"] == __version__
    os.kill(first.pid, signal.SIGTERM)
    (stop,) = until(lambda: told("agent_stop"))
    assert stop["AgentReason"] == "SIGTERM"
    until(lambda: not first.alive)
    second = agent("--sensor", "proc")
    until(lambda: len(told("agent_start")) == 2)
    second.kill()
    agent("--sensor", "proc")
    third = until(lambda: len(told("agent_start")) == 3 and told("agent_start")[2])
    assert (third["AgentReason"], third["AgentUnclean"]) == (reasons.AFTER_KILL, 1)
    assert start["Timestamp"] < third["AgentLastSeen"] < third["Timestamp"]
    assert len(told("agent_stop")) == 1


@pytest.mark.root
def test_a_stop_that_the_server_did_not_hear_of_is_told_at_the_next_start(
    agent: Callable[..., Child], server: Any, steps: Any, until: Callable[..., Any]
) -> None:
    def told() -> list[str]:
        with server.log.lock:
            found = [event["EventType"] for event in server.events]
        return [name for name in found if name in ("agent_start", "agent_stop")]

    server.script.extend([steps.Say(503, headers=(("Retry-After", "300"),))] * 2)
    first = agent("--sensor", "proc")
    until(lambda: server.requests)
    first.stop()
    assert told() == []
    server.script.clear()
    agent("--sensor", "proc")
    until(lambda: told() == ["agent_start", "agent_stop", "agent_start"])


def test_second_agent_in_the_same_folder_is_refused(
    agent: Callable[..., Child], tmp_path: Path, file: Path
) -> None:
    first = agent("--replay", file)
    first.ready(30)
    with pytest.raises(StateError, match=f"in use by process {first.pid}"):
        run(StateDirectory(tmp_path / "agent"), Choice(replay=file))


def test_agent_that_is_not_enrolled_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotEnrolledError, match="deodar agent enroll"):
        run(StateDirectory.create(tmp_path / "new"), Choice())


def test_agent_is_small(
    agent: Callable[..., Child], server: Any, file: Path, until: Callable[..., Any], tmp_path: Path
) -> None:
    child = agent("--replay", file)
    until(lambda: len(server.events) == EVENTS, 60)
    until(lambda: look(child.pid, 0).rss < 60e6)
    assert child.alive


def test_agent_imports_nothing_of_the_servers() -> None:
    code = "import deodar.agent.run, deodar.agent.sensors.choose, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    tops = {name.split(".")[0] for name in done.stdout.split()}
    assert tops.isdisjoint(FORBIDDEN)
    assert not {
        name for name in done.stdout.split() if name.startswith(("deodar.edr", "deodar.siem"))
    }


@pytest.mark.root
def test_every_short_process_of_this_host_arrives_once(
    agent: Callable[..., Child], server: Any, until: Callable[..., Any]
) -> None:
    child = agent()
    assert child.ready(30)["sensor"] in ("bpf", "audit")
    marker = f"marker-{os.getpid()}"
    loop = f"for i in $(seq 200); do /bin/true {marker} $i; done"
    subprocess.run(["bash", "-c", loop], check=True)

    def found() -> list[dict[str, Any]]:
        with server.log.lock:
            return [
                event
                for event in server.events
                if event["EventType"] == "process"
                and event["StartupParameters"].startswith(f"/bin/true {marker} ")
            ]

    until(lambda: len(found()) >= 200)
    started = found()
    wanted = {f"/bin/true {marker} {number}" for number in range(1, 201)}
    assert {event["StartupParameters"] for event in started} == wanted
    assert len(started) == 200
    program = Path("/bin/true").resolve()
    for event in started:
        assert event["FileFullName"] == str(program)
        assert event["Sha256"] == hashlib.sha256(program.read_bytes()).hexdigest()
        assert event["UserName"] == "root"
        assert event["ParentStartupParameters"].startswith("bash -c ")
    assert len({event["UniquePid"] for event in started}) == 200
    assert len({event["UniqueParentPid"] for event in started}) == 1
    until(lambda: _ended(server, started))


def _ended(server: Any, started: list[dict[str, Any]]) -> bool:
    with server.log.lock:
        ended = {e["UniquePid"] for e in server.events if e["EventType"] == "process_terminate"}
    return {event["UniquePid"] for event in started} <= ended
