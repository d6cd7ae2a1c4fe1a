"""Records of what the watchers find: changes of accounts, scheduled tasks and services."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from deodar.agent.sensors.base import Act

Operation = Literal["Created", "Modified", "Deleted"]
Entity = Literal["User", "Group", "Sudoers"]
ScheduleKind = Literal["cron", "at", "timer"]


@dataclass(slots=True)
class StateChange(Act):
    """Something of the host's lasting state is not what it was before.

    `key` is the process that wrote the file, where a sensor saw it. Of something that is gone the
    fields tell what it was.
    """

    operation: Operation
    file: str
    """The file in which it was changed."""
    changes: tuple[str, ...] = ()
    """What is different, such as "shell: /bin/sh -> /bin/bash"; never a secret."""
    meanwhile: bool = False
    """It changed while the agent did not run."""
    also: tuple[str, ...] = field(default=(), kw_only=True)
    """Other files that the change shows in: who made it wrote all of them."""


@dataclass(slots=True)
class AccountChange(StateChange):
    """An account, a group, or the rules of sudo changed."""

    entity: Entity = "User"
    name: str = ""
    """Of the account or group; empty for the rules of sudo."""
    number: int | None = None
    """User id or group id."""
    groups: tuple[str, ...] = ()
    home: str = ""
    shell: str = ""


@dataclass(slots=True)
class ScheduleChange(StateChange):
    """A task that runs at certain times changed."""

    kind: ScheduleKind = "cron"
    expression: str = ""
    """When it runs, in the words of the entry."""
    command: str = ""
    user: str = ""


@dataclass(slots=True)
class ServiceChange(StateChange):
    """A service's definition changed."""

    name: str = ""
    path: str = ""
    """Of the file that defines it."""
    command: str = ""
    user: str = ""
    """Whose manager runs it, for a unit of an account's own; else empty."""


@dataclass(slots=True)
class ServiceRun(Act):
    """A service has got its first process, or has none left."""

    name: str
    group: str
    """Its control group, such as "/system.slice/ssh.service"."""
    running: bool
