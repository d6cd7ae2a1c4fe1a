"""The part of an event's JSON that tells of a process, made once and used for all its events.

Most of an event is about the process that acts, and that does not change. A fragment is the text
of some fields, ready to stand between the braces of an object; it is kept with the process.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import orjson

from deodar.agent.enrich.fields import (
    content_fields,
    identity_fields,
    owner_fields,
    parent_fields,
    start_fields,
    surrounding_fields,
)
from deodar.agent.hashing.facts import Rest

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.enrich.context import Context
    from deodar.agent.enrich.hashes import FileFacts
    from deodar.agent.enrich.processes import Process
    from deodar.agent.enrich.registry import Event
    from deodar.agent.sensors.base import Act, Exec, ProcessKey

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
    known = _known(fields)
    return Fragment(_text(known), frozenset(known)) if known else NOTHING


def text_of(fields: Event) -> bytes:
    """Return the text of a fragment, for fields that are told once."""
    return _text(_known(fields))


def _known(fields: Event) -> Event:
    return {name: value for name, value in fields.items() if value is not None and value != ""}


def _text(known: Event) -> bytes:
    return b"," + orjson.dumps(known)[1:-1] if known else b""


def of_process(context: Context, process: Process) -> Fragment:
    """Return what is known of a process."""
    facts = context.facts(process)
    kept = process.told
    if kept is None or kept[0] is not facts:
        around = _surroundings(context, process, facts)
        text = text_of(identity_fields(context, process)) + around.text
        kept = process.told = (facts, Fragment(text, around.names))
    return kept[1]


def _surroundings(context: Context, process: Process, facts: FileFacts | None) -> Fragment:
    """Return what a process shares with others, made once for all of them."""
    key = (
        process.image.exe, process.uid, process.euid, process.login_uid, process.session_id,
        process.cwd, process.tty, process.container_id, process.cgroup_id,
    )  # fmt: skip
    return _shared(context, key, facts, lambda: surrounding_fields(context, process))


def of_start(context: Context, record: Exec, process: Process) -> Fragment:
    """Return what starts of the same program have in common, beside what `of_process` tells."""
    key = (
        record.inode, record.mode, record.gid, record.egid, record.caps,
        record.mount_ns, record.pid_ns,
    )  # fmt: skip
    facts = context.facts(process)
    if facts is not None:
        process.image.is_told = facts.rest is not Rest.COMING
    return _shared(
        context, key, facts, lambda: start_fields(record) | content_fields(context, process)
    )


def _shared(
    context: Context, key: tuple[object, ...], facts: FileFacts | None, make: Callable[[], Event]
) -> Fragment:
    """Return the fragment of `key`; it is made anew for other facts, and after a while."""
    shared = context.shared_fragments
    kept = shared.get(key)
    now = time.monotonic()
    if kept is None or kept[0] is not facts or kept[2] < now:
        if len(shared) >= MOST_SHARED:
            shared.clear()
        kept = shared[key] = (facts, fragment(make()), now + SHARED_FOR)
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
