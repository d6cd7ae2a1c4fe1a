"""The spool itself: putting, taking, acknowledging, and keeping within bounds."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from deodar.agent.age import AgeClock
from deodar.agent.packets import Packet, Place
from deodar.agent.spool.accounts import Accounts, Gone
from deodar.agent.spool.batches import Outgoing, StoredBatch
from deodar.agent.spool.held import Held
from deodar.agent.spool.intake import PATIENCE, Intake
from deodar.agent.spool.shedding import Shedder
from deodar.agent.spool.thinning import STOPPED, Thinner, fold
from deodar.agent.spool.waiting import Waiting
from deodar.kit.journal import Journal, JournalUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deodar.agent.loss import LossBook
    from deodar.agent.settings import SpoolSettings
    from deodar.agent.spool.thinning import Importance
    from deodar.kit.journal import Damage

EXPIRE_EVERY = 60.0
DAY = 86_400.0


class SpoolState(NamedTuple):
    """The spool at one moment, for people."""

    packets: int
    events: int
    bytes: int
    held_packets: int
    """Packets that wait in memory because the disk takes none."""
    disk_error: str
    """Why it takes none; "" when it does."""
    limit: int
    """Bytes that it may take."""
    oldest: float
    """Seconds that the oldest packet has waited, 0 when none waits."""


class Spool:
    """Packets in order. Any thread may put; one thread takes and acknowledges."""

    def __init__(
        self,
        folder: Path,
        settings: SpoolSettings,
        losses: LossBook,
        age: AgeClock | None = None,
        *,
        importance: Importance | None = None,
    ) -> None:
        """Open or make the spool; raises what the journal raises when it cannot be opened.

        `age` is the clock that packets age by; without, each run counts from its own start.
        `importance` judges an event by its line; without, the vocabulary does.
        """
        self._settings = settings
        self._losses = losses
        self._age = age or AgeClock(None)
        # Room for the new content of a segment is left free: it stands beside the old one.
        segment = min(settings.segment_bytes, settings.maximum_bytes // 5)
        self._journal = Journal(
            folder,
            segment_bytes=segment,
            max_bytes=settings.maximum_bytes - segment,
            sync=settings.sync,
            fold=fold,
        )
        self._changed = threading.Condition()
        self._outgoing = Outgoing(self._journal, folder / "taken")
        self._held = Held(Thinner(importance), losses)
        self._accounts = Accounts(self._journal, losses)
        self._shedder = Shedder(
            self._journal,
            self._outgoing,
            losses,
            Thinner(importance),
            self._accounts,
            self._changed,
        )
        self._intake = Intake(
            self._journal, self._held, self._shedder, self._accounts, losses, self._changed
        )
        self._waiting = Waiting(self._journal, self._outgoing, self._intake, self._age)
        self._woken = self._closed = False
        self._next_expiry = 0.0
        self._take_up()

    @property
    def identity(self) -> str:
        """The spool's own name, to the server: packet numbers are unique under it."""
        return self._journal.identity

    @property
    def place(self) -> Place | None:
        """How far the replayed file has come with the last packet that was stored."""
        return self._intake.last.place

    def put(self, packet: Packet) -> None:
        """Store a packet durably; when the disk does not take it, hold it in memory.

        After `close` its events are counted as lost.
        """
        header = msgspec.structs.replace(packet.header, at=self._age.now())
        with self._changed:
            self._held.add(Packet(header, packet.body))
            if self._closed:
                self._give_up_held()
                return
        self._intake.store(self._settings.memory_bytes)

    def settle(self) -> None:
        """Do what is due: store what is held in memory, give up what is too old, write files.

        To be called once a second. It costs next to nothing when nothing is due.
        """
        if self._closed:
            return
        if self._held or self._intake.disk_error:
            self._intake.store(self._settings.memory_bytes)
        if self._age.now() >= self._next_expiry:
            self._next_expiry = self._age.now() + EXPIRE_EVERY
            self._expire()
        self._age.save()
        self._losses.save()

    def take(
        self,
        after: int = 0,
        *,
        delay: float = 0.0,
        enough: int = 1,
        max_events: int = 10_000,
        max_bytes: int = 16_000_000,
        timeout: float = 0.0,
    ) -> StoredBatch | None:
        """Return the batch of packets behind number `after`, None if none is ready in time (s).

        One is ready when a packet is urgent, `enough` events wait, or the oldest has waited for
        `delay` seconds; or when it was given before and is not settled: then it is the very same.
        It holds at most `max_events`, and `max_bytes` of packed body (and an eighth of the spool),
        but at least one packet. Waiting costs nothing while nothing is put.
        """
        deadline = time.monotonic() + timeout
        max_bytes = min(max_bytes, self._settings.maximum_bytes // 8)
        with self._changed:
            while True:
                wait = None
                with self._disk():
                    wait = self._waiting.time_for(after, delay, enough)
                if wait == 0 and (batch := self._read(after, max_events, max_bytes)) is not None:
                    return batch
                rest = deadline - time.monotonic()
                if rest <= 0 or self._woken:
                    self._woken = False
                    return None
                self._changed.wait(rest if not wait else min(rest, wait))

    def acknowledge(self, batch: StoredBatch) -> None:
        """Forget a batch, and all packets before it: the server has them."""
        with self._changed, self._disk():
            if batch.last <= self._journal.acknowledged:
                return
            if self._outgoing.is_whole(self._journal.acknowledged, batch):
                self._leave(batch.last, _gone(batch))
            else:
                self._leave(batch.last, self._accounts.sum_to(batch.last))

    def acknowledge_to(self, number: int) -> None:
        """Forget all packets up to a number: the server says that it has them."""
        with self._changed, self._disk():
            number = min(number, self._journal.last())
            if number > self._journal.acknowledged:
                self._leave(number, self._accounts.sum_to(number))

    def forget(self) -> None:
        """Let the next batch have another extent than the one that was given and not settled."""
        with self._changed:
            self._outgoing.forget()

    def wake(self) -> None:
        """Let a `take` that waits, or the next one that would, return at once."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def state(self) -> SpoolState:
        """Return what is waiting now."""
        with self._changed:
            return SpoolState(
                packets=len(self._journal) + len(self._held),
                events=self._accounts.waiting + self._held.events,
                bytes=self._journal.bytes_used,
                held_packets=len(self._held),
                disk_error=self._intake.disk_error,
                limit=self._settings.maximum_bytes,
                oldest=self._oldest(),
            )

    def damage(self) -> Sequence[Damage]:
        """Return what could not be read since the agent started; it is set aside."""
        return self._journal.damage

    def close(self) -> None:
        """Close the files; packets that are held in memory only are counted as lost."""
        if self._closed:
            return
        self._intake.store(self._settings.memory_bytes)
        self._intake.close()
        with self._changed:
            self._closed = True
            self._give_up_held()
            self._age.save(now=True)
            self._outgoing.close()
            self._journal.close()

    def _take_up(self) -> None:
        """Go on from what an agent before this one has left, perhaps in a crash."""
        self._shedder.settle_intended()
        last = self._intake.last
        self._age.at_least(last.at)
        self._losses.confirm(last.reports)
        self._intake.urgent = self._journal.last() if self._accounts.waiting else 0

    def _give_up_held(self) -> None:
        while self._held:
            self._held.lose_oldest(STOPPED)
        self._losses.save(now=True)

    def _read(self, after: int, max_events: int, max_bytes: int) -> StoredBatch | None:
        after = max(after, self._journal.acknowledged)
        with self._disk():
            while batch := self._outgoing.batch(after, max_events, max_bytes):
                if batch.events:
                    return batch
                if after == self._journal.acknowledged:
                    self._leave(batch.last, _gone(batch))
                after = batch.last
        return None

    def _leave(self, number: int, gone: Gone) -> None:
        self._accounts.leave(gone)
        self._outgoing.settled(number)
        with self._disk():
            self._journal.acknowledge(number)

    def _expire(self) -> None:
        """Give up what has waited for too long, a bounded stretch of it at a time."""
        before = self._age.now() - self._settings.maximum_days * DAY
        deadline = time.monotonic() + PATIENCE
        with self._changed, self._disk():
            self._held.expire(before)
            while self._shedder.expire(before):
                if time.monotonic() > deadline:
                    self._next_expiry = 0.0
                    break

    def _oldest(self) -> float:
        """Return how long the oldest packet has waited, in seconds."""
        stored: float | None = None
        with self._disk():
            stored = self._waiting.oldest_at()
        held = [packet.header.at for packet in self._held.packets][:1]
        at = min([*held, *([] if stored is None else [stored])], default=self._age.now())
        return max(0.0, self._age.now() - at)

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        """Take a disk that cannot be read, or not be written any more, as nothing to be done."""
        try:
            yield
        except JournalUnavailable as error:
            self._intake.disk_error = str(error)


def _gone(batch: StoredBatch) -> Gone:
    return Gone(batch.events, batch.thinned, batch.total, batch.first_time)
