"""The JSON of the response API: what is taken, with the aliases of older pages, and what is given.

Facts: KATA's help, topics 227251, 227597, 227448, 227499, 227449, 227591. Older pages write
``shedule``, and ``settings`` as a list; both are understood, and neither is ever written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from deodar import __version__
from deodar.edr.detects_api import moment
from deodar.edr.errors import BadRequest
from deodar.edr.tasking.states import is_isolated
from deodar.response.isolation import ISOLATION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Row

    from deodar.edr.tasking.states import DesiredState
    from deodar.edr.tasking.tasks import Task

_ARGUMENTS, _FOLDER = "cmdLineParameters", "workingDirectory"


class _Schedule(msgspec.Struct):
    start_now: bool = msgspec.field(name="startNow")


class _RunProcess(msgspec.Struct, rename="camel"):
    exec_command: str
    schedule: _Schedule | None = None
    shedule: _Schedule | None = None
    cmd_line_parameters: str | None = None
    working_directory: str | None = None


class _TaskBody(msgspec.Struct):
    task: _RunProcess


def run_process(body: Any) -> dict[str, Any]:
    """Return a task's parameters from the body of its creation; raises BadRequest."""
    try:
        task = msgspec.convert(body, _TaskBody).task
    except msgspec.ValidationError as error:
        raise BadRequest(str(error)) from error
    schedule = task.schedule or task.shedule
    if schedule is None:
        raise BadRequest("task.schedule is missing")
    if not schedule.start_now:
        raise BadRequest("task.schedule: only startNow: true is known")
    return {
        "command": task.exec_command,
        "arguments": task.cmd_line_parameters or "",
        "working_directory": task.working_directory or "",
    }


def settings(body: Any) -> Any:
    """Return what a body has as settings; raises BadRequest."""
    if not isinstance(body, dict) or "settings" not in body:
        raise BadRequest('the body is no JSON object with "settings"')
    return body["settings"]


def sensors(rows: Iterable[Row[Any]], isolated: set[str]) -> dict[str, Any]:
    """Return the list of hosts."""
    return {
        "version": __version__,
        "sensors": [
            {
                "sensorId": row.agent_id,
                "host": row.name,
                "hostIp": row.address,
                "osVersion": f"{row.os_name} {row.os_version}".strip(),
                "version": row.agent_version,
                "lastAccessTimestamp": moment(row.last_contact_us) if row.last_contact_us else None,
                "isolated": row.agent_id in isolated,
            }
            for row in rows
        ],
    }


def state(kind: str, found: DesiredState | None) -> dict[str, Any]:
    """Return the settings of a kind as they are wanted, those of nothing if none are."""
    given: dict[str, Any] = dict((found.settings if found else None) or {})
    if kind != ISOLATION:
        return {"settings": {"objects": given.get("objects", [])}}
    rules = {
        "excludedRules": given.get("excludedRules", []),
        "autoTurnoffTimeoutInSec": given.get("autoTurnoffTimeoutInSec", 0),
    }
    if found is None:
        return {"settings": rules, "state": "absent"}
    return {"settings": rules, "state": "active" if is_isolated(found) else "inactive"}


def task(found: Task, *, with_settings: bool = True) -> dict[str, Any]:
    """Return a task and how it fares."""
    told: dict[str, Any] = {
        "state": found.state,
        "latestStartDateTime": moment(found.started_us or found.created_us),
    }
    if with_settings:
        given = found.parameters
        shown = {"schedule": {"startNow": True}, "execCommand": given["command"]}
        shown |= {_ARGUMENTS: given["arguments"]} if given["arguments"] else {}
        shown |= {_FOLDER: given["working_directory"]} if given["working_directory"] else {}
        told["task"] = shown
    return told
