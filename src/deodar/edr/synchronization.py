"""Synchronization: an agent tells how it stands, and learns of the policy.

What it tells is kept with its endpoint, the last one only and within a bound; it is for people and
decides nothing. That a task which keeps telemetry going was stopped on a host is told in the
server's log, once for each change: somebody may be about to hide something. The content of the
report follows what KESL sends when it synchronizes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from sqlalchemy import update

from deodar.edr import web
from deodar.edr.database import now_us
from deodar.edr.errors import NotThisAgent
from deodar.edr.tables import endpoints
from deodar.kit.logging import logger
from deodar.tasks.declarations import BEHAVIOR_DETECTION, KATAEDR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.edr.database import Database
    from deodar.edr.endpoint import Endpoint
    from deodar.edr.policies import InForce, Policies

LARGEST_BODY = 256 << 10
LARGEST_REPORT = 32 << 10
"""Bytes of JSON that are kept of one report."""
DEEPEST_STATUS = 32
"""Levels within one another that a status may have to be kept."""
WATCHED = (BEHAVIOR_DETECTION.name, KATAEDR.name)
_STOPPED = frozenset({"Stopped", "Stopping"})

log = logger("edr.synchronization")


class ReportedHost(msgspec.Struct, frozen=True):
    """What an agent says of its host; texts only for showing."""

    name: str = ""
    ip: str = ""
    mac: str = ""
    os_name: str = ""
    os_version: str = ""
    machine_id: str = ""


class ReportedTask(msgspec.Struct, frozen=True):
    """The state of one of the agent's tasks; `since` is in seconds since the epoch."""

    name: str
    state: str
    id: int = 0
    type: str = ""
    error: str = ""
    since: float = 0.0


class Report(msgspec.Struct, frozen=True):
    """The body of a synchronization. Of what else an agent sends nothing is kept."""

    agent_id: str
    host: ReportedHost = ReportedHost()
    time_us: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)] = 0
    version: str = ""
    policy_version: Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)] = 0
    tasks: Annotated[tuple[ReportedTask, ...], msgspec.Meta(max_length=64)] = ()
    status: dict[str, Any] = {}
    left_out: tuple[str, ...] = ()
    """Of the server: what was too large, or nested too deeply, to be kept."""


class SyncAnswer(msgspec.Struct, frozen=True):
    """What an agent gets; `policy` only when its version is not the agent's."""

    server_id: str
    time_us: int
    policy_version: int
    policy: msgspec.Raw | None


class Synchronization:
    """The server's side; synchronous, safe to use from several threads."""

    def __init__(self, database: Database, policies: Policies, server_id: str) -> None:
        self._database = database
        self._policies = policies
        self._server_id = server_id

    def take(self, endpoint: Endpoint, body: bytes, address: str) -> SyncAnswer:
        """Keep what an agent reports and return what it is told.

        Raises BadRequest, NotThisAgent, and ControlDataError when nothing could be kept.
        """
        report = web.decode(body, Report)
        if report.agent_id != endpoint.agent_id:
            raise NotThisAgent(
                f"Forbidden: the certificate is that of agent {endpoint.agent_id}, the report of "
                "another"
            )
        stopped = _stopped(report)
        row = _row(endpoint, report, address) | {"stopped_tasks": stopped}
        key = endpoints.c.agent_id == endpoint.agent_id
        with self._database.write() as connection:
            connection.execute(update(endpoints).where(key).values(**row))
            told = self._policies.for_agent(connection, report.policy_version, endpoint.group_name)
        _tell_change(endpoint, report, stopped)
        if told.policy is not None:
            log.info("policy_sent", agent_id=endpoint.agent_id, version=told.version)
        return self._answer(told)

    def _answer(self, told: InForce) -> SyncAnswer:
        return SyncAnswer(self._server_id, now_us(), told.version, told.policy)


def _row(endpoint: Endpoint, report: Report, address: str) -> dict[str, Any]:
    """Return the columns that a report fills; what it does not tell stays as it was."""
    host, now = report.host, now_us()
    return {
        "name": _text(host.name, 256) or endpoint.name,
        "os_name": _text(host.os_name, 256) or endpoint.os_name,
        "os_version": _text(host.os_version, 256) or endpoint.os_version,
        "machine_id": _text(host.machine_id, 128) or endpoint.machine_id,
        "agent_version": _text(report.version, 64) or endpoint.agent_version,
        "address": address,
        "last_contact_us": now,
        "synchronized_us": now,
        "policy_version": report.policy_version,
        "report": _kept(report),
    }


def _kept(report: Report) -> str:
    """Return a report's JSON within the bounds, what is largest left out first."""
    for kept in _smaller(msgspec.structs.replace(report, left_out=())):
        text = msgspec.json.encode(kept)
        if len(text) <= LARGEST_REPORT:
            return text.decode()
    return ""


def _smaller(report: Report) -> Iterator[Report]:
    """Yield a report if it can be encoded, and then what is left of it without this and that."""
    replace = msgspec.structs.replace
    if not _is_deeper(report.status, DEEPEST_STATUS):
        yield report
    yield replace(report, status={}, left_out=("status",))
    yield replace(report, status={}, tasks=(), left_out=("status", "tasks"))


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether a value from JSON has more than so many levels within one another."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return not levels or any(_is_deeper(one, levels - 1) for one in inner)


def _text(text: str, most: int) -> str:
    """Return a text as databases take it: PostgreSQL knows no NUL."""
    return text.replace("\0", "")[:most]


def _stopped(report: Report) -> str:
    """Return the names of the watched tasks that are stopped, "" if none is."""
    stopped = {task.name for task in report.tasks if task.state in _STOPPED}
    return ", ".join(name for name in WATCHED if name in stopped)


def _tell_change(endpoint: Endpoint, report: Report, stopped: str) -> None:
    if stopped == endpoint.stopped_tasks:
        return
    told = {"agent_id": endpoint.agent_id, "host": report.host.name[:256] or endpoint.name}
    if not stopped:
        log.warning("tasks_started_again", **told, tasks=endpoint.stopped_tasks)
        return
    reasons = {task.name: task.error[:500] for task in report.tasks if task.error}
    reason = "; ".join(reasons[name] for name in WATCHED if name in reasons)
    log.warning("tasks_stopped_on_host", **told, tasks=stopped, reason=reason)
