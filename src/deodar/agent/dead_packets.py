"""Packets that no server will take: kept in a folder for the administrator, up to a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.kit.logging import logger

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.agent.loss import LossBook
    from deodar.agent.spool import StoredBatch

STAGE = "uplink"
MOST_PACKETS = 100
MOST_BYTES = 64 << 20

_log = logger("agent.dead_packets")


class DeadPackets:
    """The folder of dead packets; the oldest go when there are too many."""

    def __init__(self, folder: Path, losses: LossBook) -> None:
        self._folder = folder
        self._losses = losses

    def keep(self, batch: StoredBatch, reason: str) -> None:
        """Count the events as lost, and keep their text; a full disk is logged."""
        first, last = batch.first_time * 1000, batch.last_time * 1000
        self._losses.add(batch.events, STAGE, reason, first, last)
        path = self._folder / f"{batch.first:020d}.ndjson.zst"
        _log.error("a packet was put aside", reason=reason, events=batch.events, file=str(path))
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            path.write_bytes(batch.body)
            self._tidy()
        except OSError as error:
            _log.error("a dead packet could not be kept", error=str(error))

    def _tidy(self) -> None:
        total = 0
        newest = sorted(self._folder.glob("*.zst"), reverse=True)
        for number, path in enumerate(newest):
            total += path.stat().st_size
            if number >= MOST_PACKETS or (total > MOST_BYTES and number > 0):
                path.unlink()
