"""What the tests of the agent's own events share: stores, records, and a clock of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.agent.journal.query import parse
from deodar.agent.journal.record import Record
from deodar.agent.journal.store import EventStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EVERYTHING = parse("")


class Clock:
    """Seconds that go on only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[EventStore]:
    made = EventStore(tmp_path / "events.db", age=clock)
    yield made
    made.close()


@pytest.fixture
def made() -> Callable[..., Record]:
    def make(number: int = 1, **values: object) -> Record:
        plain = {"event_id": number, "event_type": "TaskStateChanged", "date": 1_790_000_000.25}
        return Record(**{**plain, **values})

    return make
