"""A running agent as far as commands see it: real settings, tasks, events, certificates, socket."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from deodar.agent import status as report
from deodar.agent.administration import Administration
from deodar.agent.certificates import Certificates
from deodar.agent.cli import app
from deodar.agent.control.server import ControlServer
from deodar.agent.coverage import KindCoverage
from deodar.agent.journal.store import EventStore
from deodar.agent.tasks.manager import TaskManager
from deodar.agent.tasks.store import SettingsStore
from deodar.kit.directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Idle:
    """What a task runs when nothing is to be done."""

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


def status(**changes: Any) -> report.AgentStatus:
    """Return the status of an agent that is this process."""
    plain: dict[str, Any] = {
        "time": time.time(),
        "started": time.time() - 600,
        "pid": os.getpid(),
        "process_start": report.own_start(),
        "version": "1.2.3",
        "agent_id": "agent-7",
        "memory_bytes": 50_000_000,
        "coverage": [KindCoverage(1, "Process created", True, ["process"], "bpf/core")],
    }
    return report.AgentStatus(**plain | changes)


class SmallAgent:
    """The parts behind the control socket of one folder."""

    def __init__(self, directory: StateDirectory) -> None:
        self.directory = directory
        self.settings = SettingsStore(directory)
        self.events = EventStore(directory.path / "events.db")
        self.certificates = Certificates(directory)
        runners = {"Behavior_Detection": Idle(), "KATAEDR": Idle()}
        self.tasks = TaskManager(directory, runners, lambda _state, _initiator: None)
        self.administration = Administration(
            directory, self.settings, self.tasks, self.events, status, self.certificates
        )

    def ask(self, name: str, **arguments: Any) -> Any:
        return self.administration.handlers()[name](arguments)


@contextlib.contextmanager
def serving(directory: StateDirectory) -> Iterator[SmallAgent]:
    """Run the parts with their socket, holding the folder as the agent does."""
    agent = SmallAgent(directory)
    server = ControlServer(directory.socket, agent.administration.handlers())
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with directory.lock():
            held.set()
            release.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    server.start()
    try:
        yield agent
    finally:
        server.stop()
        agent.tasks.stop_all()
        agent.events.close()
        release.set()
        holder.join(10)


def command(folder: Path, *words: object, answers: str | None = None) -> Any:
    """Run ``deodar agent WORDS --dir FOLDER`` in this process."""
    return CliRunner().invoke(app, [*map(str, words), "--dir", str(folder)], input=answers)
