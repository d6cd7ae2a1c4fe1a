"""Making room on the disk: which segment is thinned next, and how, without holding up the rest.

New content is made beside a segment while packets are taken and acknowledged as ever; only the last
step, putting it in place, is done under the spool's lock. If the server was given packets of the
segment meanwhile, the new content is thrown away.

What goes is written into the book of losses as intended before that step, and counted after it.
`settle_intended` finds out after a crash which steps were done.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from deodar.agent.loss import Loss
from deodar.agent.packets import Header, decode_header, encode_header
from deodar.agent.spool.accounts import Gone
from deodar.agent.spool.thinning import AGED, FULL, STAGE, Level, Thinner
from deodar.kit.journal import JournalUnavailable, Record

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator

    from deodar.agent.loss import LossBook
    from deodar.agent.spool.accounts import Accounts
    from deodar.agent.spool.batches import Outgoing
    from deodar.kit.journal import Journal, Stretch

AT_ONCE = 1000
"""Packets that are looked at in one step when the old ones go."""
_ACKNOWLEDGED = "acknowledged/"


class _Front(NamedTuple):
    """How far the server has come."""

    flight: int
    acknowledged: int

    def is_as(self, before: _Front) -> bool:
        """Whether no packet has gone since that was not on its way then."""
        return self.flight == before.flight and self.acknowledged <= max(before)


class Shedder:
    """Gives up stored events by the spool's rules. One thread at a time."""

    def __init__(
        self,
        journal: Journal,
        outgoing: Outgoing,
        losses: LossBook,
        thinner: Thinner,
        accounts: Accounts,
        lock: threading.Condition,
    ) -> None:
        self._journal = journal
        self._outgoing = outgoing
        self._losses = losses
        self._thinner = thinner
        self._accounts = accounts
        self._lock = lock

    def settle_intended(self) -> None:
        """Count the losses of steps that were done before a crash, forget those of the others."""
        for mark in self._losses.intended():
            number = mark.removeprefix(_ACKNOWLEDGED)
            if number != mark:
                done = int(number) <= self._journal.acknowledged
            else:
                done = self._journal.is_replaced(mark)
            self._losses.resolve(mark, done=done)

    def thin(self, level: Level) -> bool:
        """Take the events up to an importance out of the oldest segment that has some.

        Returns whether it is worth trying again, False when no segment has any that may be
        touched. To be called without the spool's lock. Raises JournalUnavailable when the disk
        refuses.
        """
        for stretch in self._journal.stretches():
            before = self._front()
            if stretch.last <= before.flight or not stretch.digest.up_to(level):
                continue
            if self._thin(self._sealed(stretch), level, before) or self._front() != before:
                return True
        return False

    def expire(self, before: float) -> bool:
        """Give up the oldest packets, if they were stored before this moment of the age clock.

        Returns whether some were: not more than `AT_ONCE`, so ask again. To be called with the
        spool's lock. Raises JournalUnavailable when they cannot be read.
        """
        old: list[tuple[int, Header]] = []
        for record in self._journal.read(self._journal.acknowledged):
            header = decode_header(record.header)
            if header.at >= before or record.number <= self._outgoing.flight:
                break
            old.append((record.number, header))
            if len(old) >= AT_ONCE:
                break
        if old:
            self._pass_over(old, AGED)
        return bool(old)

    def _front(self) -> _Front:
        return _Front(self._outgoing.flight, self._journal.acknowledged)

    def _thin(self, stretch: Stretch, level: Level, before: _Front) -> bool:
        records = list(self._records(stretch))
        new = list(self._thinned(records, level, before.flight))
        events = sum(header.events for _, header, _ in records)
        gone = events - sum(header.events for _, header, _ in new)
        if not gone:
            return False
        if gone == events and records[0][0] > before.flight:
            with self._lock:
                if self._front().is_as(before) and self._journal.first() == records[0][0]:
                    self._pass_over([(n, header) for n, header, _ in records], FULL[level])
                    return True
        loss = _loss(gone, FULL[level], (header for _, header, _ in records))
        return self._replace(stretch, joined(new, before.flight), loss, before)

    def _sealed(self, stretch: Stretch) -> Stretch:
        if stretch.sealed:
            return stretch
        self._journal.seal()
        same = [one for one in self._journal.stretches() if one.first == stretch.first]
        return same[0] if same else stretch

    def _records(self, stretch: Stretch) -> Iterator[tuple[int, Header, bytes]]:
        for record in self._journal.read(stretch.first - 1):
            if record.number > stretch.last:
                break
            yield record.number, decode_header(record.header), record.body

    def _thinned(
        self, records: Iterable[tuple[int, Header, bytes]], level: Level, flight: int
    ) -> Iterator[tuple[int, Header, bytes]]:
        for number, header, body in records:
            if number <= flight:
                yield number, header, body
            else:
                new, body = self._thinner.thin(header, body, level)
                thinned = header.thinned + header.events - new.events
                yield number, msgspec.structs.replace(new, thinned=thinned), body

    def _replace(
        self, stretch: Stretch, new: list[tuple[int, Header, bytes]], loss: Loss, before: _Front
    ) -> bool:
        records = [Record(number, encode_header(header), body) for number, header, body in new]
        replacement = self._journal.prepare(stretch.first, records)
        if replacement is None:
            return False
        with self._lock:
            if not self._front().is_as(before):
                replacement.discard()
                return False
            self._losses.intend(replacement.mark, loss)
            done = False
            try:
                done = self._journal.replace(replacement)
            finally:
                self._losses.resolve(replacement.mark, done=done)
                if not done:
                    replacement.discard()
            if done:
                self._accounts.leave(Gone(loss.count))
            return done

    def _pass_over(self, packets: list[tuple[int, Header]], reason: str) -> None:
        """Give up the oldest packets whole, as if they had been delivered: that needs no room."""
        number, last = packets[-1]
        events = sum(header.events for _, header in packets)
        thinned = sum(header.thinned for _, header in packets)
        mark = f"{_ACKNOWLEDGED}{number}"
        if events:
            self._losses.intend(mark, _loss(events, reason, (header for _, header in packets)))
        with contextlib.suppress(JournalUnavailable):  # in memory it is done all the same
            self._journal.acknowledge(number)
        self._losses.resolve(mark, done=True)
        self._accounts.leave(Gone(events, thinned, last.total, packets[0][1].first))


def joined(
    packets: Iterable[tuple[int, Header, bytes]], flight: int = 0
) -> list[tuple[int, Header, bytes]]:
    """Return the packets that have events, with what is known of the others in their headers.

    What was thinned out of a packet of which nothing is left is told by the next one, or, behind
    the last one, by the last one. If that is up to number `flight`, and must not change, or if none
    has events, one empty packet stands for all behind.
    """
    kept: list[tuple[int, Header, bytes]] = []
    thinned = 0
    number, header = 0, Header(events=0, first=0, last=0)
    for number, header, body in packets:
        thinned += header.thinned
        if header.events or number <= flight:
            kept.append((number, msgspec.structs.replace(header, thinned=thinned), body))
            thinned = 0
    if not thinned:
        return kept
    if kept and kept[-1][0] > flight:
        last, before, body = kept.pop()
        told = msgspec.structs.replace(before, total=header.total, thinned=before.thinned + thinned)
        return [*kept, (last, told, body)]
    return [*kept, (number, msgspec.structs.replace(header, thinned=thinned), b"")]


def _loss(count: int, reason: str, headers: Iterable[Header]) -> Loss:
    times = [(header.first, header.last) for header in headers]
    first, last = min(first for first, _ in times), max(last for _, last in times)
    return Loss(count, STAGE, reason, first * 1000, last * 1000)
