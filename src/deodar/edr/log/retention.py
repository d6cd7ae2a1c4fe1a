"""Forgetting old events: whole days are dropped, never single rows.

The newest day always stays, whatever its age: sequence numbers go on from its last one.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from deodar.edr.log.schema import TABLE
from deodar.kit.logging import logger
from deodar.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from deodar.store.engine import Engine

_EVERY = 3600.0

log = logger("edr.log.retention")


def drop_old(engine: Engine, days: int, now: datetime) -> list[str]:
    """Drop the days that ended more than `days` days before `now`; returns them (``20261122``).

    Raises StoreError.
    """
    rows = engine.query(
        "SELECT DISTINCT partition FROM system.parts "
        "WHERE active AND database = currentDatabase() AND table = {table:String} "
        "ORDER BY partition",
        {"table": TABLE},
    )
    oldest = (now.astimezone(UTC) - timedelta(days=days)).strftime("%Y%m%d")
    dropped = [str(day) for day in rows.column(0).to_pylist()[:-1] if str(day) < oldest]
    for day in dropped:
        engine.command(f"ALTER TABLE {TABLE} DROP PARTITION {int(day)}")
        log.info("day_dropped", day=day)
    return dropped


@contextlib.asynccontextmanager
async def keeping(engine: Engine, days: int) -> AsyncIterator[None]:
    """Drop old days now and then, as long as the context lasts; `days` 0 keeps everything."""
    if not days:
        yield
        return
    task = asyncio.create_task(_repeat(engine, days), name="retention")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _repeat(engine: Engine, days: int) -> None:
    while True:
        try:
            await asyncio.to_thread(drop_old, engine, days, datetime.now(UTC))
        except StoreError as error:
            log.warning("old_days_not_dropped", reason=str(error))
        await asyncio.sleep(_EVERY)
