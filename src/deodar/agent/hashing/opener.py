"""Opening files with a time limit: a network file system, or one in user space, may never answer.

Threads of their own do it, and one that hangs is left behind. There are few; when all hang, no file
is opened until one comes back.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from deodar.agent.hashing.errors import OpenTimeout
from deodar.agent.hashing.facts import FileFacts, describe, identity_of
from deodar.agent.patient import Patient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.sensors.base import FileIdentity

THREADS = 6
"""Three threads of the agent ask; so many may hang beside."""


class Opened(NamedTuple):
    """A file that was opened for reading; whoever has it closes the descriptor."""

    descriptor: int
    identity: FileIdentity
    """As it was asked for, else as it was found."""
    found: FileIdentity
    """As fstat tells it."""
    facts: FileFacts
    """What is known without reading all of it."""


class Opener:
    """Opens files for any thread."""

    def __init__(self) -> None:
        self._patient = Patient("open", THREADS)

    def open(
        self, identity: FileIdentity | None, paths: Sequence[str], limit: float
    ) -> Opened | None:
        """Return the file that the first of `paths` opens which leads to `identity` (None: any).

        Returns None when none of them leads to it any more. Raises OpenTimeout after `limit`
        seconds, or when all threads hang.
        """
        try:
            return self._patient.call(lambda: open_first(identity, paths), limit, _give_up)
        except TimeoutError as error:
            raise OpenTimeout(f"{', '.join(paths)} could not be opened: {error}") from error

    def close(self) -> None:
        """Let the threads end that do not hang."""
        self._patient.close()


def _give_up(opened: Opened | None) -> None:
    if opened is not None:
        os.close(opened.descriptor)


def open_first(identity: FileIdentity | None, paths: Sequence[str]) -> Opened | None:
    """Open the first path that leads to the file; for files that answer at once."""
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except (OSError, ValueError):
            continue
        opened = _look_at(descriptor, identity)
        if opened is not None:
            return opened
        os.close(descriptor)
    return None


def _look_at(descriptor: int, identity: FileIdentity | None) -> Opened | None:
    try:
        status = os.fstat(descriptor)
        found = identity_of(status)
        if not stat.S_ISREG(status.st_mode) or not _same(found, identity):
            return None
        facts = describe(descriptor, identity or found)
    except OSError:
        return None
    return Opened(descriptor, identity or found, found, facts)


def _same(found: FileIdentity, wanted: FileIdentity | None) -> bool:
    # Not the device: btrfs and overlayfs show another one to stat than the kernel has inside.
    return wanted is None or found[1:] == wanted[1:]
