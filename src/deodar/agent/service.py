"""The agent as a service: what is there from start to end, and how its parts know of one another.

The tasks are what an administrator starts and stops: Behavior_Detection watches, KATAEDR sends.
Around them stay the spool, the settings, the agent's own events, and the control socket.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import msgspec

from deodar import __version__
from deodar.agent import overview, reasons
from deodar.agent import status as report
from deodar.agent.administration import Administration
from deodar.agent.age import AgeClock
from deodar.agent.announcer import Announcer
from deodar.agent.certificates import Certificates
from deodar.agent.control.server import ControlServer
from deodar.agent.detection import Choice, Detection
from deodar.agent.enrich import host
from deodar.agent.integration import Integration
from deodar.agent.journal.record import EventType
from deodar.agent.journal.store import EventStore
from deodar.agent.loss import LossBook
from deodar.agent.self_report import SelfReport
from deodar.agent.sightings import Sightings
from deodar.agent.spool import Spool
from deodar.agent.tasks.manager import TaskManager
from deodar.agent.tasks.store import SettingsStore
from deodar.kit.logging import logger
from deodar.tasks.declarations import APPLICATION, find
from deodar.tasks.errors import InvalidSetting
from deodar.tasks.policy import Policy, from_wire

if TYPE_CHECKING:
    from deodar.agent.settings import AgentSettings
    from deodar.agent.status import AgentStatus
    from deodar.agent.tasks.manager import Runner, TaskState
    from deodar.kit.directory import StateDirectory

DETECTION, INTEGRATION = "Behavior_Detection", "KATAEDR"
RETRY_EVERY = 60.0
MARK_EVERY = 60.0
CERTIFICATES_EVERY = 86_400.0
LAST_PACKETS = 3.0
"""Seconds that a stopping agent gives the uplink to send what is still in the spool."""
LOOK_EVERY = 0.05

_log = logger("agent")


class Service:
    """One running agent."""

    def __init__(
        self, directory: StateDirectory, settings: AgentSettings, choice: Choice | None = None
    ) -> None:
        """Open everything that no task owns; raises DeodarError when something cannot be opened."""
        self.directory, self.settings = directory, settings
        self.started = time.time()
        self.process_start = report.own_start()
        self.host = host.collect()
        self.losses = LossBook(directory.path / "losses.json")
        self.spool = Spool(
            directory.path / "spool", settings.spool, self.losses, AgeClock(directory.path / "age")
        )
        self.tasks_settings = SettingsStore(directory)
        self.events = EventStore(
            directory.path / "events.db", self.tasks_settings.application.max_events_number
        )
        self.self_report = SelfReport(self.losses, self.events.add)
        self.certificates = Certificates(directory)
        choice = choice or Choice()
        self.sightings = Sightings(directory.path / "sightings.json")
        self.announcer = Announcer(
            self.spool, self.host, settings.agent_id, __version__, self.sightings
        )
        self._announces = choice.replay is None  # a replay tells of another time and place
        self.policy_problem = ""
        self.integration = Integration(
            directory,
            settings,
            self.tasks_settings,
            self.certificates,
            self.spool,
            self.losses,
            report=self._synchronization_report,
            on_policy=self._take_policy,
            notify=self._note,
        )
        self.detection = Detection(
            settings,
            self.tasks_settings,
            self.spool,
            self.losses,
            self.host,
            lambda: self.integration.server,
            choice,
            self._note,
            self.sightings,
        )
        runners: dict[str, Runner] = {DETECTION: self.detection, INTEGRATION: self.integration}
        self.tasks = TaskManager(directory, runners, self._task_changed)
        self.administration = Administration(
            directory,
            self.tasks_settings,
            self.tasks,
            self.events,
            self.status,
            self.certificates,
            self.integration.renew_certificate,
        )
        self.control = ControlServer(
            directory.socket, self.administration.handlers(), settings.control.group
        )
        self._stopping = self._hurries = self._told_start = False
        self.last_status: AgentStatus | None = None
        """How the agent fared when it was stopped."""
        self._next_retry = self._next_mark = self._next_certificates = 0.0

    def start(self) -> None:
        """Begin: tell of the time without an agent, start the tasks that shall run."""
        self.tasks_settings.subscribe(self._settings_changed)
        self.certificates.subscribe(self._certificate_changed)
        self._follow_application()
        self._tell_start()
        self.events.add(EventType.APPLICATION_STARTED, Version=__version__)
        for problem in self.tasks_settings.problems:
            self.events.add(EventType.SETTINGS_PROBLEM, Problem=problem)
        self._gate()
        self.tasks.start_wanted()
        self.control.start()

    def look_after(self) -> None:
        """Do what is due now and then; called every few seconds."""
        now = time.monotonic()
        self._look_at_itself()
        if self.detection.pipeline is None:
            self.announcer.losses(self.losses)
            self.spool.settle()
        if now >= self._next_mark:
            self._next_mark = now + MARK_EVERY
            self.losses.mark_running(time.time())
        if now >= self._next_retry:
            self._next_retry = now + RETRY_EVERY
            self.tasks.retry()
        if now >= self._next_certificates:
            self._next_certificates = now + CERTIFICATES_EVERY
            self._look_at_certificates()

    def is_done(self) -> bool:
        """Whether a replay has come to its end and the server has all of it."""
        if not self.detection.has_ended:
            return False
        if not self._hurries:
            self._hurries = True
            self.integration.hurry()
        return self.spool.state().packets == 0

    @property
    def failure(self) -> str:
        """Why a part has come to a halt by itself; "" while all work."""
        return self.detection.failure or self.integration.failure

    def stop(self, reason: str = "") -> None:
        """Watch no more, store what was seen, send what can be sent at once, close the files.

        `reason` is told to the server, if its events were begun.
        """
        self._stopping = True
        with ExitStack() as last:  # whatever fails, the files are closed
            last.callback(self.losses.mark_stopped)
            last.callback(self.sightings.save, now=True)
            last.callback(self.spool.close)
            last.callback(self.events.close)
            last.callback(self.self_report.losses, all_now=True)
            last.callback(self.events.add, EventType.APPLICATION_STOPPED)
            last.callback(self.tasks.stop_all)
            self.control.stop()
            before = self.status()
            self.detection.stop()
            if self._told_start:
                self.announcer.stopped(reason or reasons.ASKED)
            self._send_the_last()
            self.last_status = msgspec.structs.replace(
                self.status(),
                tasks=before.tasks,
                sensor=before.sensor,
                exclusions=before.exclusions,
                throttle=before.throttle,
                pipeline=before.pipeline,
                hashes=before.hashes,
            )

    def _send_the_last(self) -> None:
        """Send what a server that answers takes within a few seconds."""
        self.integration.hurry()
        deadline, never = time.monotonic() + LAST_PACKETS, threading.Event()
        while self._is_sending() and time.monotonic() < deadline:
            never.wait(LOOK_EVERY)

    def status(self) -> AgentStatus:
        """Return how the agent fares now."""
        return overview.status_of(self)

    def _is_sending(self) -> bool:
        return self.spool.state().packets > 0 and self.integration.is_connected

    def _tell_start(self) -> None:
        """Tell that the agent runs, and of the time when none did."""
        killed = self.losses.unclean_since()
        self.losses.mark_running(time.time())
        before = report.read(self.directory)
        if not self._announces:
            return
        if killed is not None:
            killed = max(killed, before.time if before else 0.0)
            self.announcer.absence(killed, killed=True)
        elif before is not None:
            self.announcer.absence(before.time, killed=False)
        self.announcer.started(reasons.of_start(killed, os.environ), killed)
        self._told_start = True

    # What the parts tell

    def _task_changed(self, state: TaskState, initiator: str) -> None:
        task = find(state.name)
        self.events.add(
            EventType.TASK_STATE_CHANGED,
            level="Warning" if state.error or state.state == "Stopped" else "Info",
            task=task,
            initiator=initiator,
            TaskState=state.state,
            Reason=state.error or None,
        )
        # What is told of KATAEDR's end has to be told before it, or it waits for the next start.
        ends = state.name == INTEGRATION and state.state == "Stopping"
        if self._stopping or state.state == "Starting" or (state.state == "Stopping" and not ends):
            return
        self._gate()
        if self._announces:
            self.announcer.task_state(state, initiator)
        self.integration.synchronize()

    def _gate(self) -> None:
        """Let events into the spool only while KATAEDR is to send them."""
        wanted = self.tasks.is_wanted(INTEGRATION)
        self.detection.gate("" if wanted else "the task KATAEDR is stopped")

    def _settings_changed(self, name: str, changed: list[str], initiator: str) -> None:
        task = None if name == APPLICATION else find(name)
        self.events.add(
            EventType.SETTINGS_CHANGED,
            task=task,
            initiator=initiator,
            Settings=", ".join(changed),
        )
        if name == APPLICATION:
            self._follow_application()
        self.detection.apply()
        self.integration.apply()

    def _look_at_itself(self) -> None:
        if self.detection.sensor is not None:
            self.self_report.sensors(self.detection.refused)
        self.self_report.losses()
        self.self_report.damage(self.spool.damage())

    def _look_at_certificates(self) -> None:
        use_client = self.tasks_settings.kataedr.use_client_pinned_certificate
        for problem in self.certificates.problems(time.time(), use_client=use_client):
            self.events.add(EventType.CERTIFICATE_PROBLEM, task=find(INTEGRATION), Problem=problem)

    def _certificate_changed(self, kind: str) -> None:
        initiator = "Product" if self.integration.is_renewing else "User"
        self.events.add(EventType.CERTIFICATE_CHANGED, initiator=initiator, Certificate=kind)
        self.integration.apply()

    def _follow_application(self) -> None:
        application = self.tasks_settings.application
        self.events.set_limit(application.max_events_number)
        self.events.set_syslog(application.use_syslog)

    def _note(self, event_type: str, details: dict[str, Any]) -> None:
        self.events.add(event_type, task=find(INTEGRATION), **details)

    # Synchronization

    def _take_policy(self, wire: dict[str, Any] | None) -> None:
        """Put the server's policy into force, or keep the old one and say why."""
        try:
            policy: Policy | None = None if wire is None else from_wire(wire)
            changed = self.tasks_settings.apply_policy(policy)
        except InvalidSetting as error:
            self.policy_problem = str(error)
            self.events.add(EventType.POLICY_REFUSED, Reason=str(error))
            return
        self.policy_problem = ""
        version = policy.version if policy else 0
        self.events.add(
            EventType.POLICY_APPLIED,
            initiator="Policy",
            Version=version,
            Settings=", ".join(changed),
        )

    def _synchronization_report(self) -> dict[str, Any]:
        return overview.synchronization_report(self)
