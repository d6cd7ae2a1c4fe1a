"""The running agent's process: signals, the lock of its folder, its memory, its status file."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from deodar.agent import memory, reasons
from deodar.agent import status as report
from deodar.agent.enrolled import load
from deodar.agent.errors import AgentError
from deodar.agent.notify import ALIVE, READY, STOPPING, starting, tell
from deodar.agent.service import Service
from deodar.agent.threads import until_look
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from deodar.agent.detection import Choice
    from deodar.kit.directory import StateDirectory

STATUS_EVERY = 30.0
LOOK_EVERY = 4.0
LOOK_EVERY_IN_REPLAY = 0.05

_log = logger("agent")


class Halt:
    """Whether the agent is to stop, and why."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.reason = ""

    def by_signal(self, number: int, _frame: object) -> None:
        """Take a signal as the reason."""
        self.reason = self.reason or signal.Signals(number).name
        self.event.set()


def run(directory: StateDirectory, options: Choice) -> None:
    """Run the agent until SIGTERM or SIGINT, or the end of a replay that shall end.

    Prints one line of JSON when it is ready. Raises DeodarError when it cannot start.
    """
    settings = load(directory)
    halt = Halt()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, halt.by_signal)
    with ExitStack() as stack:
        stack.enter_context(directory.lock())
        memory.limit_arenas()
        service = Service(directory, settings, options)
        stack.callback(_write_status, service)
        stack.callback(lambda: service.stop(halt.reason or service.failure))
        stack.callback(tell, STOPPING)
        with starting():
            service.start()
        memory.settle()
        _write_status(service)
        _print_ready(service)
        tell(READY)
        _watch(service, halt, exit_at_end=options.exit_at_end)


def _watch(service: Service, halt: Halt, *, exit_at_end: bool) -> None:
    """Look after the service until there is a reason to stop.

    Raises AgentError when a part has failed: what starts the agent has to start it again.
    """
    look = LOOK_EVERY_IN_REPLAY if exit_at_end else LOOK_EVERY
    next_status = time.monotonic() + STATUS_EVERY
    while not halt.event.wait(until_look(look)):
        if service.failure:
            raise AgentError(f"the agent has to stop ({service.failure}); see its log")
        if exit_at_end and service.is_done():
            halt.reason = reasons.END_OF_REPLAY
            return
        service.look_after()
        tell(ALIVE)
        if time.monotonic() >= next_status:
            next_status = time.monotonic() + STATUS_EVERY
            _write_status(service)


def _write_status(service: Service) -> None:
    try:
        report.write(service.directory, service.last_status or service.status())
    except OSError as error:  # a full disk must not end the agent
        _log.warning("the status could not be written", error=str(error))


def _print_ready(service: Service) -> None:
    sensor = service.detection.sensor
    line = {
        "ready": True,
        "pid": os.getpid(),
        "agent_id": service.settings.agent_id,
        "server": service.integration.server,
        "sensor": sensor.name if sensor else None,
        "tier": sensor.tier if sensor else None,
        "refused": {refused.name: refused.reason for refused in service.detection.refused},
        "tasks": {state.name: state.state for state in service.tasks.list()},
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
