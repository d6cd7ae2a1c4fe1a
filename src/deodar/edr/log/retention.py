"""Forgetting old events: whole days are dropped, never single rows.

A day goes when it is too old, or when it is the oldest and the log is larger than it may be. The
newest day always stays, whatever its age and size: sequence numbers go on from its last one. What
is about to go is taken from the readers first (`EventLog.give_up`), so that none of them passes
over a gap without being told.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from deodar.edr.log.schema import TABLE
from deodar.kit.background import background
from deodar.kit.errors import DeodarError
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from deodar.edr.log.view import View
    from deodar.store.engine import Engine

AGE, SIZE = "age", "size"
REASONS = (AGE, SIZE)
_EVERY = 60.0

log = logger("edr.log.retention")


@dataclass(frozen=True)
class Keep:
    """How much is kept; 0 is no limit."""

    days: int = 0
    size: int = 0
    """Bytes on the disk of the store, packed as they are there."""


@dataclass(frozen=True)
class Day:
    """One day (UTC) of the log, such as ``20261122``."""

    name: str
    events: int
    size: int


@dataclass(frozen=True)
class Dropped:
    """A day that went."""

    day: Day
    reason: str
    last_seq: int
    """The number of its last event."""


@dataclass
class Account:
    """What the log holds, and what retention has dropped since the start, by reason."""

    size: int = 0
    days: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    events: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))

    def add(self, dropped: Dropped) -> None:
        """Count a day that went."""
        self.days[dropped.reason] += 1
        self.events[dropped.reason] += dropped.day.events
        self.bytes[dropped.reason] += dropped.day.size


class Retention:
    """Drops what is too much; `account` may be read at any time."""

    def __init__(
        self, engine: Engine, opened: View, keep: Keep, tell: Callable[[Dropped], None]
    ) -> None:
        """`tell` is called with each day that went, in a thread."""
        self._engine = engine
        self._log = opened
        self._keep = keep
        self._tell = tell
        self.account = Account()

    def drop(self, now: datetime) -> list[Dropped]:
        """Drop what is too much at a time, and return it; raises StoreError."""
        held = days(self._engine)
        gone = []
        for day, reason in due(held, self._keep, now) if self._log.may_drop else ():
            dropped = Dropped(day, reason, self._last_seq(day))
            self._log.give_up(dropped.last_seq)
            self._engine.command(f"ALTER TABLE {TABLE} DROP PARTITION {int(day.name)}")
            self.account.add(dropped)
            log.info("day_dropped", day=day.name, reason=reason, events=day.events, bytes=day.size)
            gone.append(dropped)
            self._tell(dropped)
        self.account.size = sum(day.size for day in held) - sum(one.day.size for one in gone)
        self._warn(held)
        return gone

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Account]:
        """Look after the log now and then, as long as the context lasts."""
        async with background(self._repeat(), "retention"):
            yield self.account

    async def _repeat(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.drop, datetime.now(UTC))
            except DeodarError as error:
                log.warning("old_days_not_dropped", reason=str(error))
            await asyncio.sleep(_EVERY)

    def _last_seq(self, day: Day) -> int:
        query = f"SELECT max(seq) FROM {TABLE} WHERE _partition_id = {{day:String}}"  # noqa: S608
        return int(self._engine.query(query, {"day": day.name}).column(0)[0].as_py() or 0)

    def _warn(self, held: list[Day]) -> None:
        if self._keep.size and held and held[-1].size > self._keep.size:
            log.warning(
                "newest_day_is_too_large", day=held[-1].name, bytes=held[-1].size,
                limit=self._keep.size,
                advice="raise retention_bytes: the newest day is never dropped",
            )  # fmt: skip


def days(engine: Engine) -> list[Day]:
    """Return what the log holds, the oldest day first; raises StoreError."""
    rows = engine.query(
        "SELECT partition, sum(rows) AS events, sum(bytes_on_disk) AS size FROM system.parts "
        "WHERE active AND database = currentDatabase() AND table = {table:String} "
        "GROUP BY partition ORDER BY partition",
        {"table": TABLE},
    )
    return [
        Day(str(row["partition"]), int(row["events"]), int(row["size"])) for row in rows.to_pylist()
    ]


def due(held: list[Day], keep: Keep, now: datetime) -> list[tuple[Day, str]]:
    """Return which days have to go and why, the oldest first, never the newest one."""
    oldest = (now.astimezone(UTC) - timedelta(days=keep.days)).strftime("%Y%m%d")
    size = sum(day.size for day in held)
    going = []
    for day in held[:-1]:
        if keep.days and day.name < oldest:
            going.append((day, AGE))
        elif keep.size and size > keep.size:
            going.append((day, SIZE))
        else:
            break
        size -= day.size
    return going
