"""The status for people: lines for a terminal of 100 columns, what is wrong first in its line.

Texts from the server and from other programs are shown without control characters.
"""

from __future__ import annotations

import textwrap
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.agent.certificates import CertificateFacts
    from deodar.agent.status import AgentStatus, TaskStatus

WIDTH = 100
NAME = 13
LOSSES = 20
_MARK = "! "
"""Stands before what an administrator has to look after."""

Line = tuple[str, str]


def render(status: AgentStatus, now: float, *, running: bool) -> str:
    """Return the status as text; `now` is in seconds since the epoch."""
    lines: list[str] = []
    before = ""
    for name, text in _lines(status, now, running=running):
        lines += _folded("" if name == before else name, plain(text))
        before = name
    return "\n".join(lines)


def plain(text: str) -> str:
    """Return text without control characters."""
    return "".join(c if c.isprintable() else "?" for c in text)


def duration(seconds: float) -> str:
    """Return a length of time as people say it."""
    seconds = max(0, round(seconds))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def size(count: float) -> str:
    """Return a number of bytes as people say it."""
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count:.0f} B"


def _folded(name: str, text: str) -> list[str]:
    within = len(_MARK) if text.startswith(_MARK) else len(text) - len(text.lstrip())
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=name.ljust(NAME),
        subsequent_indent=" " * (NAME + within),
        break_on_hyphens=False,
    ) or [name]


def _lines(status: AgentStatus, now: float, *, running: bool) -> Iterator[Line]:
    yield from _agent(status, now, running=running)
    for task in status.tasks:
        yield from _task(task, now)
    yield from _sensor(status)
    yield from _server(status, now)
    yield from _policy(status)
    yield from _certificates(status, now)
    yield from _events(status, now)
    yield from _hashes(status)
    yield from _losses(status)


def _agent(status: AgentStatus, now: float, *, running: bool) -> Iterator[Line]:
    if running:
        alive = duration(status.time - status.started)
        yield "agent", f"running for {alive}, process {status.pid}, {size(status.memory_bytes)}"
        if now - status.time > 60:
            yield "agent", f"{_MARK}it last told of itself {duration(now - status.time)} ago"
    else:
        yield "agent", f"{_MARK}NOT RUNNING; what it told {duration(now - status.time)} ago:"
    yield "id", f"{status.agent_id}, version {status.version}"
    for problem in status.settings_problems:
        yield "settings", _MARK + problem


def _task(task: TaskStatus, now: float) -> Iterator[Line]:
    since = f" for {duration(now - task.since)}" if task.since else ""
    yield "tasks", f"{task.name} ({task.id}): {task.state}{since}"
    if task.error:
        yield "tasks", f"{_MARK}{task.name}: {task.error}"


def _sensor(status: AgentStatus) -> Iterator[Line]:
    sensor = status.sensor
    if sensor is None:
        yield "sensor", f"{_MARK}none: Behavior_Detection is not started, nothing is watched"
    else:
        counts = f"{sensor.received} received, {sensor.lost} lost"
        malformed = f", {sensor.malformed} malformed" if sensor.malformed else ""
        yield "sensor", f"{sensor.name} ({sensor.tier}): {counts}{malformed}"
        for refused in sensor.refused:
            yield "sensor", f"{_MARK}not {refused.name}: {refused.reason}"
        if sensor.spare:
            yield "sensor", f"not needed: {', '.join(sensor.spare)}"
        for advice in sensor.advice:
            yield "sensor", f"{_MARK}{advice}"
    yield "exclusions", _exclusions(status)
    yield "throttling", _throttle(status)


def _exclusions(status: AgentStatus) -> str:
    found = status.exclusions
    if found.in_force:
        note = f"; {found.note}" if found.note else ""
        return f"{found.rules} in force, {found.excluded} records left out{note}"
    return (f"{_MARK}{found.note}" if found.rules else found.note) or "none"


def _throttle(status: AgentStatus) -> str:
    found = status.throttle
    if not found.on:
        return "off"
    held = f"{found.held_back} events held back since the start"
    if found.active_since is None:
        return f"on, not active, {held}"
    return f"{_MARK}ACTIVE since {_clock(found.active_since)}, {held}"


def _server(status: AgentStatus, now: float) -> Iterator[Line]:
    uplink = status.uplink
    mark = _MARK if uplink.problem else ""
    server = f"{uplink.server}: " if uplink.server else ""
    yield "server", f"{mark}{server}{uplink.state}"
    if uplink.problem:
        yield "server", _MARK + uplink.problem
    if not uplink.sending:
        yield "server", f"{_MARK}no telemetry is sent: {uplink.why_not}"
    yield "server", f"last contact {_ago(uplink.last_contact, now)}, {_sync(status, now)}"
    if len(uplink.servers) > 1:
        yield "server", f"in this order: {', '.join(uplink.servers)}"
    if uplink.proxy:
        yield "proxy", uplink.proxy


def _sync(status: AgentStatus, now: float) -> str:
    uplink = status.uplink
    text = f"last synchronization {_ago(uplink.last_sync, now)}"
    offset = uplink.clock_offset
    if offset is None or abs(offset) < 1:
        return text
    side = "ahead of" if offset > 0 else "behind"
    return f"{text}; the server's clock is {duration(abs(offset))} {side} this host's"


def _policy(status: AgentStatus) -> Iterator[Line]:
    policy = status.policy
    name = f"{policy.name}, " if policy.name else ""
    yield "policy", f"{name}version {policy.version}" if policy.version else "none"
    if policy.problem:
        yield "policy", f"{_MARK}a newer one was not taken: {policy.problem}"


def _certificates(status: AgentStatus, now: float) -> Iterator[Line]:
    for facts in status.certificates.known:
        yield "certificates", certificate(facts, now)
    for problem in status.certificates.problems:
        yield "certificates", _MARK + problem


def certificate(facts: CertificateFacts, now: float) -> str:
    """Return a certificate in one line."""
    what = "authority of the server" if facts.is_authority else facts.kind
    left = facts.days_left(now)
    if left is None:
        return f"{what}: {facts.subject or 'SHA-256 ' + facts.sha256[:16] + '…'}, dates not known"
    end = f"{facts.not_after[:10]}, in {left:.0f} days" if left >= 0 else facts.not_after[:10]
    return f"{what}: {facts.subject}, {'until' if left >= 0 else 'EXPIRED'} {end}"


def _events(status: AgentStatus, now: float) -> Iterator[Line]:
    pipeline, spool, uplink = status.pipeline, status.spool, status.uplink
    yield "events", f"{pipeline.events} made, {uplink.events} delivered, since their tasks started"
    if pipeline.failed:
        yield "events", f"{_MARK}{pipeline.failed} records of which no event could be made"
    yield "queue", f"{pipeline.waiting} records"
    limit = f" of {size(spool.limit_bytes)}" if spool.limit_bytes else ""
    oldest = f", the oldest for {duration(spool.oldest_seconds)}" if spool.events else ""
    yield "spool", f"{spool.events} events wait{oldest}; {size(spool.bytes)}{limit} on disk"
    if spool.disk_error:
        held = f"; {spool.held_packets} packets wait in memory"
        yield "spool", f"{_MARK}the disk takes nothing: {spool.disk_error}{held}"
    if uplink.dead_events:
        yield "dead letters", f"{_MARK}{uplink.dead_events} events that the server could not use"
    if uplink.set_aside:
        yield "set aside", f"{_MARK}{uplink.set_aside} packets that no server takes (folder dead)"


def _hashes(status: AgentStatus) -> Iterator[Line]:
    hashes = status.hashes
    process = "no process"
    if hashes.pid is not None:
        process = f"process {hashes.pid}, {size(hashes.memory_bytes)}"
    files = f"{hashes.misses} files read, {hashes.hits} known, {hashes.waiting} wait"
    taken = f"{hashes.processor_seconds:.1f} s of processor time"
    yield "hashes", f"{files}; {process}, {hashes.starts} starts, {taken}"
    if hashes.timeouts:
        yield "hashes", f"{hashes.timeouts} events did not wait for them any longer"
    for reason, count in hashes.limited.items():
        yield "hashes", f"{count} files without {reason}"
    for reason, count in hashes.skipped.items():
        yield "hashes", f"{_MARK}{count} files without {reason}"


def _losses(status: AgentStatus) -> Iterator[Line]:
    stages = sorted(status.losses_by_stage.items())
    total = sum(count for _, count in stages)
    if not total:
        yield "lost", "none since the start"
        return
    places = ", ".join(f"{count} in {name}" for name, count in stages)
    yield "lost", f"{_MARK}{total} events: {places}, since the start"
    largest = sorted(status.losses, key=lambda loss: -loss.count)
    for loss in largest[:LOSSES]:
        yield "lost", f"  {loss.count} in {loss.stage}: {loss.reason}"


def _ago(then: float | None, now: float) -> str:
    return "never" if then is None else f"{duration(now - then)} ago"


def _clock(then: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(then))
