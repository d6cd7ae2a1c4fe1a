"""What every executor gets, and what it may not do: raise what is a fault of the task."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from deodar.agent.errors import AgentError

if TYPE_CHECKING:
    import threading

    from deodar.agent.answers import Answer
    from deodar.response.kinds import Parameters
    from deodar.response.wire import Result


class TaskFailed(AgentError):  # noqa: N818 - it says what happened
    """A task could not be carried out; the text says why, for people."""


class Sender(Protocol):
    """Sends one part of a file; raises NoAnswer when no server answers."""

    def __call__(self, path: str, body: bytes, headers: dict[str, str], /) -> Answer:
        """Return the server's answer."""
        ...


class Context(NamedTuple):
    """What an executor can use."""

    task_id: str
    stop: threading.Event
    """Set when the agent ends: the task is to end, too."""
    send: Sender


class Executor(Protocol):
    """Carries a task out; raises TaskFailed."""

    def __call__(self, parameters: Parameters, context: Context, /) -> Result:
        """Return how it ended."""
        ...


def now_us() -> int:
    """Return the time of day in µs since the epoch."""
    return time.time_ns() // 1000
