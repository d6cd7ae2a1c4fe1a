"""What the agent tells the server about itself, as events in the stream of telemetry.

Task states, times without an agent, and losses: what an analyst has to know before trusting that
nothing was seen because nothing happened. They take the way of all events, through the spool, so
they are kept like them; they are of high importance, so they are the last to be dropped.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import orjson

from deodar.agent.enrich.fields import loss_fields
from deodar.agent.enrich.identity import event_ids
from deodar.agent.packets import Packer

if TYPE_CHECKING:
    from deodar.agent.enrich.host import HostFacts
    from deodar.agent.loss import LossBook
    from deodar.agent.sightings import Sightings
    from deodar.agent.spool import Spool
    from deodar.agent.tasks.manager import TaskState

STAGE = "agent"
KILLED = "no agent watched: it had been ended by force"
STOPPED = "no agent watched: it had been stopped"


class Announcer:
    """Puts events about the agent into its spool. For any thread."""

    def __init__(
        self,
        spool: Spool,
        host: HostFacts,
        agent_id: str,
        version: str,
        sightings: Sightings | None = None,
    ) -> None:
        self._spool = spool
        self._sightings = sightings
        self._lock = threading.Lock()
        self._packer = Packer()
        self._ids = event_ids()
        self._common = {
            "HostName": host.name,
            "OsFamily": host.os_family,
            "OsName": host.os_name,
            "OsVersion": host.os_version,
            "AgentId": agent_id,
            "AgentVersion": version,
        }

    def task_state(self, state: TaskState, initiator: str) -> None:
        """Tell that a task was started or stopped, and why it failed if it did."""
        fields: dict[str, Any] = {
            "EventType": "agent_task_state",
            "TaskName": state.name,
            "TaskId": state.id,
            "TaskState": state.state,
            "Initiator": initiator,
        }
        if state.error:
            fields["TaskReason"] = state.error
        self._tell(fields)

    def started(self, reason: str, last_seen: float | None) -> None:
        """Tell that the agent runs; `last_seen` is when one that was killed last ran (s)."""
        fields: dict[str, Any] = {"EventType": "agent_start", "AgentReason": reason}
        fields["AgentUnclean"] = 0 if last_seen is None else 1
        if last_seen is not None:
            fields["AgentLastSeen"] = int(last_seen * 1e6)
        self._tell(fields)

    def stopped(self, reason: str) -> None:
        """Tell that the agent stops in good order, and why."""
        self._tell({"EventType": "agent_stop", "AgentReason": reason})

    def absence(self, since: float, *, killed: bool) -> None:
        """Tell that nothing was watched from `since` (s since the epoch) until now."""
        now = time.time_ns()
        first = min(int(since * 1e9), now)
        self._tell(loss_fields(0, STAGE, KILLED if killed else STOPPED, first, now))

    def losses(self, book: LossBook) -> None:
        """Tell of the losses that nobody has told of yet."""
        for loss in book.take():
            fields = loss_fields(loss.count, loss.stage, loss.reason, loss.first_ns, loss.last_ns)
            self._tell(fields, loss.id)

    def _tell(self, fields: dict[str, Any], loss: str = "") -> None:
        """Put one event into the spool; `loss` is the id of the loss that it tells of."""
        now = time.time_ns() // 1000
        with self._lock:
            event_id = loss or next(self._ids)
            event = {**self._common, "Id": event_id, "Timestamp": now, **fields}
            if self._sightings is not None:
                self._sightings.note_event(event)
            reports = (loss,) if loss else ()
            line = orjson.dumps(event)
            self._spool.put(self._packer.pack([line], now, now, (0, 0, 1), reports))
