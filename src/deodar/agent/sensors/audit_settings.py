"""What the audit sensor changes in the kernel beside its rules, and how it is put back.

The kernel holds up a process that makes a record while the backlog is full, for a minute by
default. The sensor sets that wait to nothing: records are lost then, and counted, but nobody waits
for us. What was there before is written down, until the next boot, so that a killed agent's changes
are undone by its successor or by the package's removal.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from deodar.agent.sensors import audit_control as control
from deodar.kit.logging import logger

FOLDER = Path("/run/deodar-agent")
FILE = "audit.json"
BACKLOG = 8192
_log = logger("agent.sensors.audit")


class Before(msgspec.Struct, frozen=True):
    """The settings as they were before the first agent since the boot changed them."""

    enabled: int
    backlog_limit: int
    backlog_wait: int


def folder() -> Path:
    """Return where it is written down: the folder that systemd gives a service, or its default."""
    given = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(given) if given else FOLDER


def change() -> None:
    """Set what the sensor needs, having written down what was there; raises OSError."""
    now = control.status()
    before = read() or Before(now.enabled, now.backlog_limit, now.backlog_wait)
    _write(before)
    if now.backlog_wait:
        control.set_backlog_wait(0)
    if now.backlog_limit < BACKLOG:
        control.set_backlog_limit(BACKLOG)
    if not now.enabled:
        control.set_enabled(1)


def put_back() -> list[str]:
    """Restore what was written down, as far as nobody changed it since; returns what was done.

    Raises OSError.
    """
    before = read()
    if before is None:
        return []
    now, done = control.status(), []
    if now.backlog_wait == 0 != before.backlog_wait:
        control.set_backlog_wait(before.backlog_wait)
        done.append(f"backlog_wait_time is {before.backlog_wait} again")
    if now.backlog_limit == BACKLOG > before.backlog_limit:
        control.set_backlog_limit(before.backlog_limit)
        done.append(f"backlog_limit is {before.backlog_limit} again")
    if now.enabled == 1 and before.enabled == 0:
        control.set_enabled(0)
        done.append("auditing is off again")
    (folder() / FILE).unlink(missing_ok=True)
    return done


def read() -> Before | None:
    """Return what was written down, None when nothing was or it cannot be read."""
    try:
        return msgspec.json.decode((folder() / FILE).read_bytes(), type=Before)
    except (OSError, msgspec.DecodeError):
        return None


def _write(before: Before) -> None:
    """Without it, a kill leaves the settings until the next boot: no reason not to watch."""
    try:
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder() / FILE).write_bytes(msgspec.json.encode(before))
    except OSError as error:
        _log.warning("the audit settings could not be written down", error=str(error))
