"""The part of an event's JSON that tells of a process, made once and used for all its events.

Most of an event is about the process that acts, and that does not change. A fragment is the text
of some fields, ready to stand between the braces of an object; it is kept with the process.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import orjson

from deodar.agent.enrich.fields import (
    identity_fields,
    owner_fields,
    parent_fields,
    surrounding_fields,
)

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.enrich.hashes import FileFacts
    from deodar.agent.enrich.processes import Process
    from deodar.agent.enrich.registry import Event
    from deodar.agent.sensors.base import Act, ProcessKey

SHARED_FOR = 60.0
"""Seconds after which names of accounts and containers are looked up again."""
MOST_SHARED = 512


class Fragment(NamedTuple):
    """Some fields as JSON."""

    text: bytes
    """`,"Name":value` for each; starts with a comma, empty when there are none."""
    names: frozenset[str] = frozenset()


NOTHING = Fragment(b"")


def fragment(fields: Event) -> Fragment:
    """Return fields as a fragment; those that are None or "" are left out."""
    known = {name: value for name, value in fields.items() if value is not None and value != ""}
    if not known:
        return NOTHING
    return Fragment(b"," + orjson.dumps(known)[1:-1], frozenset(known))


def of_process(context: Context, process: Process) -> Fragment:
    """Return what is known of a process."""
    facts = context.facts(process)
    kept = process.told
    if kept is None or kept[0] is not facts:
        around = _surroundings(context, process, facts)
        text = fragment(identity_fields(context, process)).text + around.text
        kept = process.told = (facts, Fragment(text, around.names))
    return kept[1]


def _surroundings(context: Context, process: Process, facts: FileFacts | None) -> Fragment:
    """Return what a process shares with others, made once for all of them."""
    key = (
        process.image.exe, process.uid, process.euid, process.login_uid, process.session_id,
        process.cwd, process.tty, process.container_id, process.cgroup_id,
    )  # fmt: skip
    shared = context.shared_fragments
    kept = shared.get(key)
    now = time.monotonic()
    if kept is None or kept[0] is not facts or kept[2] < now:
        if len(shared) >= MOST_SHARED:
            shared.clear()
        made = fragment(surrounding_fields(context, process))
        kept = shared[key] = (facts, made, now + SHARED_FOR)
    return kept[1]


def of_parent(context: Context, process: Process) -> Fragment:
    """Return what is known of a process's parent."""
    parent = context.processes.get(process.parent)
    if parent is None:
        return fragment(parent_fields(context, process))
    facts = context.facts(parent)
    kept = parent.told_as_parent
    if kept is None or kept[0] is not facts:
        kept = parent.told_as_parent = (facts, fragment(parent_fields(context, process)))
    return kept[1]


def of_owner(context: Context, key: ProcessKey, process: Process | None) -> Fragment:
    """Return what is known of the process that an event is about, be it only its id."""
    if process is not None:
        return of_process(context, process)
    return fragment(owner_fields(context, key, None))


def of_actor(context: Context, record: Act) -> Fragment:
    """Return what is known of the process that did something."""
    return of_owner(context, record.key, context.processes.find(record.key))
