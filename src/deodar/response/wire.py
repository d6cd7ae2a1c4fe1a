"""What goes between server and agent about tasks and desired states, as JSON.

docs/reference/agent-protocol.md tells of the requests in which these travel.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

TASKING = "/agent/v1/tasking"
RESULTS = "/agent/v1/results/"
STATES = "/agent/v1/states"
LARGEST_ORDERS = 8 << 20
"""Bytes of an answer with orders; the largest prevention list fits in."""
LARGEST_RESULT = 2 << 20
LARGEST_PART = 1 << 20
"""Bytes of one part of a file on its way to the server."""
MOST_TASKS = 100
"""Tasks in one answer."""

Number = Annotated[int, Meta(ge=0, lt=1 << 53)]
Reason = Annotated[str, Meta(max_length=4096)]


class TaskOrder(msgspec.Struct, frozen=True):
    """A task for the agent."""

    id: Annotated[str, Meta(pattern="^[A-Za-z0-9_.-]{1,64}$")]
    kind: str
    parameters: dict[str, Any]
    number: Number
    expires_us: int
    """After this moment of the server's clock the task is not begun any more."""


class StateOrder(msgspec.Struct, frozen=True):
    """How one thing shall be on the endpoint from now on."""

    kind: str
    target: Literal["endpoint", "all"]
    number: Number
    active: bool
    settings: dict[str, Any] | None
    remaining: float | None = None
    """Seconds until the state ends by itself."""


class Orders(msgspec.Struct, frozen=True):
    """The answer to a poll: everything that changed since the number that the agent told."""

    server_id: str
    number: Number
    time_us: int
    states: Annotated[tuple[StateOrder, ...], Meta(max_length=64)] = ()
    tasks: Annotated[tuple[TaskOrder, ...], Meta(max_length=MOST_TASKS)] = ()


class FileFacts(msgspec.Struct, frozen=True):
    """A file that was sent before the result."""

    path: Annotated[str, Meta(max_length=4096)]
    size: Annotated[int, Meta(ge=0)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    modified_us: int = 0


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a task fares. `supported` is false when this version of the agent cannot do it."""

    state: Literal["running", "done", "failed"]
    reason: Reason = ""
    supported: bool = True
    started_us: int = 0
    ended_us: int = 0
    pid: int = 0
    unique_pid: Annotated[str, Meta(max_length=64)] = ""
    exit_code: int | None = None
    """Of a program; negative: the number of the signal that ended it."""
    output: str = ""
    errors: str = ""
    cut: bool = False
    """Whether there was more output than was kept."""
    sha256: Annotated[str, Meta(max_length=64)] = ""
    """Of the program that ran."""
    file: FileFacts | None = None


class Applied(msgspec.Struct, frozen=True):
    """What became of a desired state on the endpoint."""

    kind: Annotated[str, Meta(max_length=32)]
    number: Number
    outcome: Literal["applied", "failed", "unsupported"]
    reason: Reason = ""
    target: Literal["endpoint", "all"] = "endpoint"
