"""Reads the script that an interpreter was started for, as soon as it starts.

By the time the interpreter runs, its script may be gone: so it is opened right here. Size, times
and hashes are found out by the same descriptor, so that they are of the very file whose beginning
is told; the hashes of a long one are the hash process's work. A file system that does not answer
costs its scripts their text, and nobody more.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from deodar.agent.enrich.hashes import identity_of
from deodar.agent.enrich.statx import birth_time_ns
from deodar.agent.gather.interpreters import script_of
from deodar.agent.gather.rooted import open_as_seen, open_standard_input
from deodar.agent.patient import Patient
from deodar.agent.sensors.acts import ScriptRun
from deodar.agent.sensors.base import Exec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deodar.agent.enrich.context import Context
    from deodar.agent.sensors.acts import ConsoleInput
    from deodar.agent.sensors.base import FileIdentity, Record

CONTENT_BYTES = 16384
HASHED_BYTES = 1 << 18
"""Scripts up to this size are hashed right here, in less than a millisecond."""
PATIENCE = 0.5
"""Seconds that an event waits for the beginning of its script."""
THREADS = 3
"""So many file systems may hang at once."""


class Begun(NamedTuple):
    """A script that was opened and begun to read; whoever has it closes the descriptor."""

    descriptor: int
    identity: FileIdentity
    content: bytes
    path: bytes
    """Where the kernel says that it is."""
    born_ns: int | None


class Scripts:
    """Tells of the script after the start of its interpreter."""

    takes: tuple[type[Any], ...] = (Exec,)
    sees: tuple[type[Any], ...] = ()
    waiting = 0

    def __init__(self, context: Context) -> None:
        self._context = context
        self._patient = Patient("script", THREADS)

    def take(self, record: Exec) -> Sequence[Record]:
        """Return the start, and the script if it is for one."""
        script = script_of(record)
        if script is None:
            return (record,)
        if script.kind == "code":
            return (record, of_content(record, script.value))
        pid, parent = record.key.pid, record.parent.pid
        if script.kind == "stdin":
            begun = self._begin(lambda: open_standard_input(pid))
            return (record, self._run(record, begun.path, begun)) if begun else (record,)
        path = _absolute(record.cwd, script.value)
        begun = self._begin(lambda: open_as_seen(path, (pid, parent)))
        return (record, self._run(record, path, begun))

    def see(self, record: Any) -> Sequence[Record]:
        """Nothing else is of interest."""
        return ()

    def due(self, now: float, *, last: bool = False) -> Sequence[Record]:
        """Nothing is held back."""
        return ()

    def _begin(self, opening: Callable[[], int | None]) -> Begun | None:
        """Return the beginning of a script; None when there is no file, or none that answers."""
        try:
            return self._patient.call(lambda: _begin(opening), PATIENCE, _give_up)
        except (OSError, TimeoutError):
            return None

    def _run(self, record: Exec, path: bytes, begun: Begun | None) -> ScriptRun:
        run = ScriptRun(record.time_ns, record.key, path)
        if begun is None:
            return run
        run.identity, run.size = begun.identity, begun.identity.size
        run.content = begun.content[:CONTENT_BYTES]
        run.born_ns = begun.born_ns
        _hash_whole(run, begun.content)
        if not run.sha256:
            link = f"/proc/{os.getpid()}/fd/{begun.descriptor}"
            self._context.hasher.facts(run.identity, [link])  # kept for the event
        os.close(begun.descriptor)
        return run


def _begin(opening: Callable[[], int | None]) -> Begun | None:
    descriptor = opening()
    if descriptor is None:
        return None
    try:
        identity = identity_of(os.fstat(descriptor))
        content = os.pread(descriptor, HASHED_BYTES, 0)
        born = birth_time_ns(descriptor)
        return Begun(descriptor, identity, content, _target(descriptor), born)
    except OSError:
        os.close(descriptor)
        raise


def _give_up(begun: Begun | None) -> None:
    if begun is not None:
        os.close(begun.descriptor)


def of_content(record: Exec | ConsoleInput, content: bytes, size: int | None = None) -> ScriptRun:
    """Return the run of a script that is in no file; with hashes if that is all, by its `size`."""
    whole = len(content) if size is None else size
    run = ScriptRun(record.time_ns, record.key, b"", content[:CONTENT_BYTES], whole)
    _hash_whole(run, content)
    return run


def _hash_whole(run: ScriptRun, content: bytes) -> None:
    """Add the hashes of a script whose content is known to its end."""
    if run.size == len(content):
        run.sha256 = hashlib.sha256(content).hexdigest()
        run.md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()


def _target(descriptor: int) -> bytes:
    return os.readlink(os.fsencode(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - bytes


def _absolute(folder: bytes, path: bytes) -> bytes:
    if path.startswith(b"/"):
        return path
    while path.startswith(b"./"):
        path = path[2:].lstrip(b"/")
    return folder.removesuffix(b"/") + b"/" + path
