"""Reads the script that an interpreter was started for, as soon as it starts.

By the time the interpreter runs, its script may be gone: so it is opened right here. Its facts
(size, times, hashes) are asked for by the same descriptor, so that they are of the very file whose
beginning is told.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from deodar.agent.enrich.hashes import identity_of
from deodar.agent.gather.interpreters import script_of
from deodar.agent.gather.rooted import open_as_seen, open_standard_input
from deodar.agent.sensors.acts import ScriptRun
from deodar.agent.sensors.base import Exec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.enrich.context import Context
    from deodar.agent.sensors.acts import ConsoleInput
    from deodar.agent.sensors.base import Record

CONTENT_BYTES = 16384


class Scripts:
    """Tells of the script after the start of its interpreter."""

    takes: tuple[type[Any], ...] = (Exec,)
    sees: tuple[type[Any], ...] = ()
    waiting = 0

    def __init__(self, context: Context) -> None:
        self._context = context

    def take(self, record: Exec) -> Sequence[Record]:
        """Return the start, and the script if it is for one."""
        script = script_of(record)
        if script is None:
            return (record,)
        if script.kind == "code":
            return (record, of_content(record, script.value))
        if script.kind == "stdin":
            descriptor = open_standard_input(record.key.pid)
            path = _target(descriptor) if descriptor is not None else b""
            return (record, self._run(record, path, descriptor)) if path else (record,)
        path = _absolute(record.cwd, script.value)
        descriptor = open_as_seen(path, (record.key.pid, record.parent.pid))
        return (record, self._run(record, path, descriptor))

    def see(self, record: Any) -> Sequence[Record]:
        """Nothing else is of interest."""
        return ()

    def due(self, now: float, *, last: bool = False) -> Sequence[Record]:
        """Nothing is held back."""
        return ()

    def _run(self, record: Exec, path: bytes, descriptor: int | None) -> ScriptRun:
        run = ScriptRun(record.time_ns, record.key, path)
        if descriptor is None:
            return run
        try:
            run.identity = identity_of(os.fstat(descriptor))
            run.size = run.identity.size
            run.content = os.pread(descriptor, CONTENT_BYTES, 0)
            link = f"/proc/{os.getpid()}/fd/{descriptor}"
            self._context.hasher.facts(run.identity, [link])  # kept for the event
        except OSError:
            pass  # of a file system that fails: told without
        finally:
            os.close(descriptor)
        return run


def of_content(record: Exec | ConsoleInput, content: bytes, size: int | None = None) -> ScriptRun:
    """Return the run of a script that is in no file; with hashes if that is all, by its `size`."""
    whole = len(content) if size is None else size
    run = ScriptRun(record.time_ns, record.key, b"", content[:CONTENT_BYTES], whole)
    if whole == len(content):
        run.sha256 = hashlib.sha256(content).hexdigest()
        run.md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return run


def _target(descriptor: int) -> bytes:
    return os.readlink(os.fsencode(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - bytes


def _absolute(folder: bytes, path: bytes) -> bytes:
    if path.startswith(b"/"):
        return path
    while path.startswith(b"./"):
        path = path[2:].lstrip(b"/")
    return folder.removesuffix(b"/") + b"/" + path
