from __future__ import annotations

import pytest
from tests.siem.batches import batch

from deodar.columnar.dead_letters import DeadLetterStore
from deodar.siem.collector.courier import Courier
from deodar.siem.collector.ledger import Ledger
from deodar.siem.collector.prepare import Prepared
from deodar.siem.collector.tally import Tally
from deodar.siem.destinations.base import Destination
from deodar.siem.destinations.selection import Selection
from deodar.siem.errors import DestinationRefused, DestinationUnavailable


class Scripted(Destination):
    """A destination of this test's own: takes what its script says, then everything."""

    def __init__(self, *script: Exception) -> None:
        self.script = list(script)
        self.took: list[tuple[str, list[str]]] = []

    async def deliver(self, batch) -> int:
        self.took.append((batch.id, batch.events.column("ID").to_pylist()))
        if self.script:
            raise self.script.pop(0)
        return 100

    async def check(self) -> str:
        return "here"

    async def close(self) -> None:
        pass


@pytest.fixture
def letters(tmp_path):
    return DeadLetterStore(tmp_path / "letters")


def prepared(count=4, number=1):
    made = batch(count)
    return Prepared(number, made.id, "https://edr", rows=count, body=b"body", events=made.events)


async def deliver(letters, destination, what, text=""):
    told: list[str] = []
    tally = Tally("x", "scripted")
    courier = Courier("x", destination, Selection(text), letters, tally, told.append, Ledger())
    await courier.deliver(what)
    return tally.report(0), told


async def test_the_filter_decides_what_is_delivered(letters):
    destination = Scripted()
    report, _ = await deliver(letters, destination, prepared(), "DestinationPort >= 3")
    assert destination.took == [("batch-1", ["id-3"])]
    assert (report.batches, report.events, report.filtered, report.bytes) == (1, 1, 3, 100)


async def test_nothing_is_sent_of_a_batch_that_the_filter_holds_back(letters):
    destination = Scripted()
    report, _ = await deliver(letters, destination, prepared(), "DestinationPort > 9")
    assert destination.took == []
    assert (report.batches, report.filtered) == (0, 4)


async def test_a_batch_is_tried_under_the_same_id_until_it_is_taken(letters):
    destination = Scripted(
        DestinationUnavailable("busy", retry_after=0.1), ValueError("a defect in a destination")
    )
    report, told = await deliver(letters, destination, prepared())
    assert [batch_id for batch_id, _ in destination.took] == ["batch-1"] * 3
    assert (report.failures, report.batches, report.events) == (2, 1, 4)
    assert told == ["destination x: ValueError: a defect in a destination"]
    assert letters.count == 0


async def test_what_is_refused_is_kept_once_and_counted(letters):
    for _ in range(2):
        destination = Scripted(DestinationRefused("too long", rows=1))
        report, told = await deliver(letters, destination, prepared())
        assert (report.refused, report.events) == (1, 3)
        assert len(destination.took) == 1
    (stored,) = letters.list()
    assert stored.letter.raw == b"body"
    assert "destination x refuses 1 events: too long" in stored.letter.reason
    assert told == [stored.letter.reason]


async def test_a_record_without_events_is_nothing_to_deliver(letters):
    destination = Scripted()
    report, _ = await deliver(letters, destination, Prepared(1, "b"))
    assert destination.took == []
    assert report.batches == 0
