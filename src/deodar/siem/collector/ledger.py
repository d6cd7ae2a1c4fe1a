"""What became of the last batches: counts for each, by destination."""

from __future__ import annotations

import msgspec

MOST = 500


class Delivered(msgspec.Struct):
    """What became of a batch at one destination; `storage` is the store itself."""

    delivered: int = 0
    filtered: int = 0
    refused: int = 0


class BatchAccount(msgspec.Struct):
    """One batch: events that came, became rows, could not, were too old, had come before."""

    batch_id: str
    fetched_us: int = 0
    received: int = 0
    normalized: int = 0
    failed: int = 0
    too_old: int = 0
    repeated: int = 0
    destinations: dict[str, Delivered] = {}


class Ledger:
    """The accounts of the last batches, since the collector's start."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._accounts: dict[str, BatchAccount] = {}

    def of(self, batch_id: str) -> BatchAccount:
        """Return a batch's account, which may be changed; the oldest one goes when it is new."""
        found = self._accounts.get(batch_id)
        if found is None:
            found = self._accounts[batch_id] = BatchAccount(batch_id, destinations={})
            if len(self._accounts) > self._most:
                del self._accounts[next(iter(self._accounts))]
        return found

    def at(self, batch_id: str, destination: str) -> Delivered:
        """Return what became of a batch at one destination, which may be changed."""
        return self.of(batch_id).destinations.setdefault(destination, Delivered())

    def last(self, count: int) -> list[BatchAccount]:
        """Return the last accounts, the newest first."""
        return list(self._accounts.values())[-count:][::-1] if count > 0 else []
