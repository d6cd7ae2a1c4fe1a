"""The way into the spool: packets are numbered, stored, and room is made for them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import msgspec

from deodar.agent.packets import Header, decode_header, encode_header
from deodar.agent.spool.thinning import FULL, TOO_LARGE, Level
from deodar.kit.journal import JournalFull, JournalUnavailable, RecordTooLarge

if TYPE_CHECKING:
    from deodar.agent.loss import LossBook
    from deodar.agent.spool.accounts import Accounts
    from deodar.agent.spool.held import Held
    from deodar.agent.spool.shedding import Shedder
    from deodar.kit.journal import Journal

PATIENCE = 0.5
"""Seconds that one `store` may spend on making room; what then has no place waits in memory."""


class Intake:
    """Stores what is held. Any thread may ask for it."""

    def __init__(
        self,
        journal: Journal,
        held: Held,
        shedder: Shedder,
        accounts: Accounts,
        losses: LossBook,
        lock: threading.Condition,
    ) -> None:
        self._journal = journal
        self._held = held
        self._shedder = shedder
        self._accounts = accounts
        self._losses = losses
        self._lock = lock
        self._making_room = threading.Lock()
        self.disk_error = ""
        """Why the disk takes nothing; "" when it does."""
        last = journal.last_header
        self.last = decode_header(last) if last else Header(events=0, first=0, last=0)
        """The header of the last packet that was ever stored."""
        self.urgent = 0
        """The number of the last packet that shall be sent without delay."""

    def store(self, memory_bytes: int) -> None:
        """Store all that is held, as far as the disk takes it; leave at most so much in memory.

        To be called without the spool's lock, which is not held while room is made.
        """
        deadline = time.monotonic() + PATIENCE
        while self._append_held() and time.monotonic() < deadline:
            if not self._make_room():
                break
        with self._lock:
            self._held.limit(memory_bytes)

    def close(self) -> None:
        """Make no more room: wait for another thread that is at it, and let none begin."""
        self._making_room.acquire()

    def _append_held(self) -> bool:
        """Store packets until none is held; True when there was no room for one."""
        with self._lock:
            before = self.last
            try:
                while self._held:
                    self._append_first()
            except JournalFull:
                return len(self._journal) > 0
            except JournalUnavailable as error:
                self.disk_error = str(error)
                return False
            finally:
                if self.last is not before:
                    self._lock.notify_all()
            self.disk_error = ""
            return False

    def _append_first(self) -> None:
        packet = self._held.packets[0]
        header = msgspec.structs.replace(
            packet.header,
            total=self.last.total + packet.header.events,
            place=packet.header.place or self.last.place,
        )
        try:
            number = self._journal.append(encode_header(header), packet.body)
        except RecordTooLarge:
            self._held.lose_oldest(TOO_LARGE)
            return
        self._held.pop()
        self.last = header
        self._accounts.waiting += header.events
        if header.urgent:
            self.urgent = number
        if header.reports:
            self._losses.confirm(header.reports)

    def _make_room(self) -> bool:
        """Give up the least important events by one step; False if that was not possible."""
        if not self._making_room.acquire(blocking=False):
            return False  # another thread is at it, and will store what is held
        try:
            return any(self._give_up(level) for level in Level)
        except JournalUnavailable as error:
            self.disk_error = str(error)
            return False
        finally:
            self._making_room.release()

    def _give_up(self, level: Level) -> bool:
        if self._shedder.thin(level):
            return True
        with self._lock:
            return level < Level.HIGH and self._held.thin(level, FULL[level])
