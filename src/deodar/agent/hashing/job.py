"""One file that is being looked at: what is asked, what is known so far, who waits for it."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from deodar.agent.hashing.facts import Rest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deodar.agent.hashing.facts import FileFacts
    from deodar.agent.hashing.opener import Opened
    from deodar.agent.sensors.base import FileIdentity


class Job:
    """A file on its way through the lanes. Belongs to one thread at a time, but for the events."""

    __slots__ = (
        "_finish", "digested", "ended", "facts", "fuzzy", "identity", "is_kept", "opened", "paths",
        "told", "urgent", "was_waited_for",
    )  # fmt: skip

    def __init__(
        self,
        identity: FileIdentity | None,
        paths: Sequence[str],
        finish: Callable[[Job], None],
        *,
        urgent: bool = False,
        fuzzy: bool = True,
    ) -> None:
        """`finish` takes the job back at its end; `urgent` says that an event waits for it.

        `fuzzy` says whether the fuzzy hash, which costs most, is wanted.
        """
        self.identity, self.paths, self._finish = identity, paths, finish
        self.urgent, self.fuzzy = urgent, fuzzy
        self.opened: Opened | None = None
        self.facts: FileFacts | None = None
        """What is known so far, marked as incomplete when more is to come; never changed in place:
        any thread may read it."""
        self.told: list[Callable[[FileFacts | None], None]] = []
        """Those who want to be told at the end."""
        self.was_waited_for = False
        """Whether an event has waited for it; another one does not wait again."""
        self.is_kept = False
        """Whether the facts hold for as long as the file's identity does."""
        self.digested = threading.Event()
        """Set when all but the fuzzy hash is there, or will never be."""
        self.ended = threading.Event()

    def take(self, opened: Opened) -> None:
        """Go on with this open file; what is known of it already stays."""
        self.opened = opened
        self.facts = self.facts or replace(opened.facts, rest=Rest.COMING)
        self.identity = opened.identity

    def end(self, facts: FileFacts | None, *, keep: bool) -> None:
        """Give the job back with what is known now; closes its file."""
        self.facts, self.is_kept = facts, keep
        self.close()
        self.digested.set()
        self.ended.set()
        self._finish(self)

    def close(self) -> None:
        """Close its file."""
        if self.opened is not None:
            os.close(self.opened.descriptor)
            self.opened = None
