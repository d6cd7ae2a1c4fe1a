"""How a command reaches the agent: by its control socket, or in its place when it does not run.

Commands that need no running agent then work on the folder in this process, and hold its lock, so
that no agent can start meanwhile. While another one holds it, that is tried again for a while: an
agent that starts or ends, or a second command.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deodar.agent.administration import OFFLINE, Administration, not_running
from deodar.agent.certificates import Certificates
from deodar.agent.control.client import ControlClient, NotRunning
from deodar.agent.journal.record import EventType
from deodar.agent.journal.store import EventStore
from deodar.agent.tasks.store import SettingsStore
from deodar.kit.errors import FolderInUse
from deodar.tasks.declarations import APPLICATION, find

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory

EVENTS = "events.db"
PATIENCE = 10.0
"""Seconds for which a folder that another process holds is tried."""
TRY_EVERY = 0.1


def call(directory: StateDirectory, name: str, **arguments: Any) -> Any:
    """Return the result of a command.

    Raises FolderInUse when something holds the folder and does not answer, NotRunning (64) when it
    needs a running agent and there is none, and what the command
    raises: over the socket as ControlRefused, with the same text and exit code.
    """
    for is_last in _moments():
        try:
            return ControlClient(directory.socket).call(name, **arguments)
        except NotRunning:
            if name not in OFFLINE:
                raise NotRunning(not_running(directory)) from None
        try:
            with directory.lock():
                return _in_place(directory, name, arguments)
        except FolderInUse:
            if is_last:
                raise
    return None


def stream(directory: StateDirectory, name: str, **arguments: Any) -> Iterator[Any]:
    """Yield the items of a command; raises as `call` does."""
    for is_last in _moments():
        try:
            yield from ControlClient(directory.socket).stream(name, **arguments)
        except NotRunning:
            if name not in OFFLINE:
                raise NotRunning(not_running(directory)) from None
        else:
            return
        try:
            with directory.lock():
                yield from _in_place(directory, name, arguments)
        except FolderInUse:
            if is_last:
                raise
        else:
            return


def _moments() -> Iterator[bool]:
    """Yield at each moment to try at, and whether it is the last one."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        yield False
        time.sleep(TRY_EVERY)
    yield True


def _in_place(directory: StateDirectory, name: str, arguments: dict[str, Any]) -> Any:
    settings, certificates = SettingsStore(directory), Certificates(directory)
    limit = settings.application.max_events_number
    with contextlib.closing(EventStore(directory.path / EVENTS, limit)) as events:
        _record(events, settings, certificates)
        made = Administration(directory, settings, None, events, None, certificates)
        found = made.handlers()[name](arguments)
        return list(found) if isinstance(found, Iterator) else found


def _record(events: EventStore, settings: SettingsStore, certificates: Certificates) -> None:
    """Let changes become events as they do in the running agent."""

    def changed(name: str, names: list[str], initiator: str) -> None:
        task = None if name == APPLICATION else find(name)
        told = ", ".join(names)
        events.add(EventType.SETTINGS_CHANGED, task=task, initiator=initiator, Settings=told)

    def replaced(kind: str) -> None:
        events.add(EventType.CERTIFICATE_CHANGED, initiator="User", Certificate=kind)

    settings.subscribe(changed)
    certificates.subscribe(replaced)
