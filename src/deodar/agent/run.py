"""The agent, put together and kept running: sensor, pipeline, spool, uplink, status."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deodar import __version__
from deodar.agent import memory
from deodar.agent import status as report
from deodar.agent.enrich import host
from deodar.agent.enrich.context import Context
from deodar.agent.enrolled import load, server_context
from deodar.agent.errors import AgentError
from deodar.agent.loss import LossBook
from deodar.agent.pipeline import Pipeline
from deodar.agent.sensors.replay import ReplayOptions, ReplaySensor
from deodar.agent.spool import Spool
from deodar.agent.uplink import State
from deodar.agent.uplink_driver import UplinkDriver
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.agent.sensors.base import Sensor
    from deodar.agent.settings import AgentSettings
    from deodar.kit.directory import StateDirectory

STATUS_EVERY = 1.0
LOOK_EVERY = 0.05
STOP_SENSOR = 5.0
LAST_PACKETS = 3.0
"""Seconds that a stopping agent gives the uplink to send what is still in the spool."""

_log = logger("agent")


@dataclass(frozen=True)
class RunOptions:
    """What the command line may change for one run."""

    sensors: tuple[str, ...] = ()
    """Sensors to try, in this order; none for those of the settings."""
    replay: Path | None = None
    rate: float = 0.0
    exit_at_end: bool = False


class Agent:
    """One running agent; its parts in the order of an event's way."""

    def __init__(
        self,
        directory: StateDirectory,
        settings: AgentSettings,
        options: RunOptions,
    ) -> None:
        """Open everything; raises DeodarError when something cannot be opened."""
        self.directory = directory
        self.settings = settings
        self.options = options
        self.losses = LossBook()
        self.started = time.time()
        self._start = report.own_start()
        tls = server_context(
            directory, settings
        )  # before the sensor, which would have to be undone
        self.spool = Spool(directory.path / "spool", settings.spool, self.losses)
        self.sensor, self.refused = self._open_sensor()
        self.context = Context(
            settings, host.collect(), version=__version__, sensor_tier=self.sensor.name
        )
        self.pipeline = Pipeline(self.sensor, self.context, self.spool, self.losses, settings)
        self.uplink = UplinkDriver(
            settings.server,
            self.spool,
            self.losses,
            tls=tls,
            dead_folder=directory.path / "dead",
        )

    def start(self) -> None:
        """Begin: the sensor watches already, so no process falls between it and the table."""
        if not isinstance(self.sensor, ReplaySensor):
            self.context.seed()
        self.pipeline.start()
        self.uplink.start()

    def is_done(self) -> bool:
        """Whether a replay has come to its end and the server has all of it."""
        return self.pipeline.finished.is_set() and self.spool.state().packets == 0

    def stop(self) -> None:
        """Stop watching, store what was seen, send what can be sent at once, close the files."""
        self.pipeline.stop(STOP_SENSOR)
        self.sensor.close()
        deadline = time.monotonic() + LAST_PACKETS
        while self._is_sending() and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)
        self.uplink.stop(LAST_PACKETS)
        self.spool.close()

    def _is_sending(self) -> bool:
        return self.spool.state().packets > 0 and self.uplink.machine.state is State.CONNECTED

    def status(self) -> report.AgentStatus:
        """Return how the agent fares now."""
        counters = self.sensor.counters()
        return report.AgentStatus(
            time=time.time(),
            started=self.started,
            pid=os.getpid(),
            process_start=self._start,
            version=__version__,
            agent_id=self.settings.agent_id,
            server=self.settings.server.url,
            memory_bytes=report.own_memory(),
            sensor=report.SensorStatus(
                name=self.sensor.name,
                tier=self.sensor.tier,
                refused=self.refused,
                received=counters.received,
                lost=counters.lost,
                malformed=counters.malformed,
            ),
            pipeline=self._pipeline_status(),
            spool=report.SpoolStatus(*self.spool.state()),
            uplink=self._uplink_status(),
            losses=self.losses.totals(),
        )

    def _pipeline_status(self) -> report.PipelineStatus:
        counters, hasher = self.pipeline.counters, self.context.hasher
        return report.PipelineStatus(
            waiting=self.pipeline.waiting,
            records=counters.records,
            events=counters.events,
            failed=counters.failed,
            processes=len(self.context.processes),
            hash_hits=hasher.hits,
            hash_misses=hasher.misses,
            hash_timeouts=hasher.timeouts,
            hash_failures=hasher.failures,
        )

    def _uplink_status(self) -> report.UplinkStatus:
        machine, counters = self.uplink.machine, self.uplink.counters
        return report.UplinkStatus(
            state=machine.state.value,
            problem=machine.problem,
            last_contact=counters.last_contact,
            packets=counters.packets,
            events=counters.events,
            dead_events=counters.dead_events,
            duplicates=counters.duplicates,
            failures=counters.failures,
            set_aside=counters.set_aside,
        )

    def _open_sensor(self) -> tuple[Sensor | ReplaySensor, list[report.RefusedSensor]]:
        if self.options.replay is not None:
            return self._open_replay(self.options.replay), []
        # A replay needs nothing of what the kernel's sensors bring along.
        from deodar.agent.sensors.choose import choose  # noqa: PLC0415

        chosen = choose(self.options.sensors or self.settings.sensor.order)
        refused = [report.RefusedSensor(name, reason) for name, reason in chosen.refused]
        return chosen.sensor, refused

    def _open_replay(self, file: Path) -> ReplaySensor:
        options = ReplayOptions(
            file,
            rate=self.options.rate,
            exit_at_end=self.options.exit_at_end,
            maximum_events=self.settings.transfer.maximum_events,
            maximum_bytes=self.settings.transfer.maximum_bytes,
        )
        sensor = ReplaySensor(options, self.spool.place)
        sensor.open()
        return sensor


def run(directory: StateDirectory, options: RunOptions) -> None:
    """Run the agent until SIGTERM or SIGINT, or the end of a replay that shall end.

    Prints one line of JSON when it is ready. Raises DeodarError when it cannot start.
    """
    settings = load(directory)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        stack.enter_context(directory.lock())
        memory.limit_arenas()
        agent = Agent(directory, settings, options)
        stack.callback(_say, agent)
        stack.callback(agent.stop)
        agent.start()
        memory.settle()
        _say(agent)
        _print_ready(agent)
        _watch(agent, stop)


def _watch(agent: Agent, stop: threading.Event) -> None:
    """Write the status now and then until there is a reason to stop.

    Raises AgentError when a part has failed: what starts the agent has to start it again.
    """
    look = LOOK_EVERY if agent.options.exit_at_end else STATUS_EVERY
    next_status = 0.0
    while not stop.wait(look):
        failure = agent.pipeline.failure or agent.uplink.failure
        if failure:
            raise AgentError(f"the agent has to stop ({failure}); its log has the details")
        if agent.options.exit_at_end and agent.is_done():
            return
        if time.monotonic() >= next_status:
            next_status = time.monotonic() + STATUS_EVERY
            _say(agent)


def _say(agent: Agent) -> None:
    try:
        report.write(agent.directory, agent.status())
    except OSError as error:  # a full disk must not end the agent
        _log.warning("the status could not be written", error=str(error))


def _print_ready(agent: Agent) -> None:
    line = {
        "ready": True,
        "pid": os.getpid(),
        "agent_id": agent.settings.agent_id,
        "server": agent.settings.server.url,
        "sensor": agent.sensor.name,
        "tier": agent.sensor.tier,
        "refused": {refused.name: refused.reason for refused in agent.refused},
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
