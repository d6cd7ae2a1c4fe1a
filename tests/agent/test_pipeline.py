from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import zstandard

from deodar.agent import pipeline as module
from deodar.agent.loss import LossBook
from deodar.agent.packets import Header, Packet, Place
from deodar.agent.pipeline import Pipeline
from deodar.agent.sensors.base import Exit, Fork, Lost, ProcessKey, Record, SensorCounters
from deodar.agent.sensors.replay import ReplayBlock
from deodar.agent.settings import AgentSettings, SensorSettings, SpoolSettings, TransferSettings
from deodar.agent.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from deodar.agent.enrich.context import Context

PARENT = ProcessKey(4_000_000, 10_000_000)


def exits(count: int, first: int = 0) -> list[Record]:
    return [
        Exit(time.time_ns(), ProcessKey(4_000_001 + first + number, 20_000_000), exit_code=1)
        for number in range(count)
    ]


class Scripted:
    """A sensor that gives batches as it was told to, then nothing."""

    def __init__(self, batches: Sequence[Sequence[Any]] = (), *, lossless: bool = False) -> None:
        self.batches = list(batches)
        self.lossless = lossless
        self.finished = False
        self.reads = 0

    def read(self, timeout: float) -> Sequence[Any]:
        if self.batches:
            self.reads += 1
            return self.batches.pop(0)
        time.sleep(min(timeout, 0.01))
        return []

    def counters(self) -> SensorCounters:
        return SensorCounters(0, 0)


class Rig:
    """A pipeline with a real spool."""

    def __init__(self, folder: Path, context: Context, settings: AgentSettings) -> None:
        self.losses = LossBook()
        self.spool = Spool(folder / "spool", settings.spool, self.losses)
        self.context = context
        self.settings = settings

    def pipeline(self, source: Any) -> Pipeline:
        return Pipeline(source, self.context, self.spool, self.losses, self.settings)

    def packets(self) -> list[list[dict[str, Any]]]:
        packets, after = [], 0
        while (taken := self.spool.take(after, 0)) is not None:
            after = taken.number
            text = zstandard.ZstdDecompressor().stream_reader(taken.body).readall()
            events = [json.loads(line) for line in text.splitlines()]
            assert len(events) == taken.header.events
            packets.append(events)
        return packets

    def events(self) -> list[dict[str, Any]]:
        return [event for packet in self.packets() for event in packet]


@pytest.fixture
def rig(tmp_path: Path, context: Context, settings: AgentSettings) -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def build(**changes: Any) -> Rig:
        made.append(Rig(tmp_path, context, msgspec.structs.replace(settings, **changes)))
        return made[-1]

    yield build
    for one in made:
        one.spool.close()


def test_records_become_events_in_the_spool_in_order(rig: Callable[..., Rig]) -> None:
    way = rig()
    pipeline = way.pipeline(Scripted([exits(10), exits(10, 10)]))
    pipeline.start()
    pipeline.stop(10)
    events = way.events()
    assert [event["SystemPid"] for event in events] == list(range(4_000_001, 4_000_021))
    assert pipeline.counters.records == pipeline.counters.events == 20
    assert pipeline.finished.is_set()
    assert pipeline.waiting == 0


def test_event_waits_no_longer_than_the_delay(
    rig: Callable[..., Rig], until: Callable[..., Any]
) -> None:
    way = rig(transfer=TransferSettings(maximum_delay=0.1))
    pipeline = way.pipeline(Scripted([exits(1)]))
    started = time.monotonic()
    pipeline.start()
    until(lambda: way.spool.state().packets)
    assert 0.1 <= time.monotonic() - started < 2
    pipeline.stop(10)


@pytest.mark.parametrize(
    ("transfer", "least"),
    [
        (TransferSettings(maximum_delay=60, maximum_events=10), 10),
        (TransferSettings(maximum_delay=60, maximum_bytes=4096), 5),
    ],
)
def test_packet_is_bounded_by_events_and_by_bytes(
    transfer: TransferSettings, least: int, rig: Callable[..., Rig]
) -> None:
    way = rig(transfer=transfer)
    pipeline = way.pipeline(Scripted([exits(100)]))
    pipeline.start()
    pipeline.stop(10)
    packets = way.packets()
    assert sum(map(len, packets)) == 100
    assert all(least <= len(packet) <= transfer.maximum_events for packet in packets[:-1])
    sizes = [len("\n".join(json.dumps(e, separators=(",", ":")) for e in p)) for p in packets]
    assert all(size <= transfer.maximum_bytes for size in sizes)


def test_slow_enrichment_never_holds_up_the_sensor(
    rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    hung = threading.Event()
    real = module.event_of

    def slow(context: Context, record: Record) -> Any:
        hung.wait(30)
        return real(context, record)

    monkeypatch.setattr(module, "event_of", slow)
    way = rig(sensor=SensorSettings(queue_records=1000))
    source = Scripted([exits(300, 300 * number) for number in range(10)])
    pipeline = way.pipeline(source)
    pipeline.start()
    until(lambda: not source.batches)
    assert way.losses.totals() == {"queue": 2000}
    hung.set()
    pipeline.stop(10)
    events = way.events()
    told = [event for event in events if event["EventType"] == "telemetry_loss"]
    assert [(event["LostStage"], event["LostCount"]) for event in told] == [("queue", 2000)]
    assert len(events) - len(told) == 1000
    assert told[0]["LostFirstTime"] <= told[0]["LostLastTime"]


def test_record_that_cannot_be_read_is_counted_and_the_next_one_told(
    rig: Callable[..., Rig],
) -> None:
    class Odd:
        time_ns = 5_000

    way = rig()
    pipeline = way.pipeline(Scripted([[*exits(1), Odd(), *exits(1, 1)]]))
    pipeline.start()
    pipeline.stop(10)
    events = way.events()
    assert [event["EventType"] for event in events] == [
        "process_terminate",
        "process_terminate",
        "telemetry_loss",
    ]
    assert (events[2]["LostStage"], events[2]["LostCount"]) == ("enrich", 1)
    assert "Odd" in events[2]["LostReason"]
    assert pipeline.counters.failed == 1


def test_loss_that_the_sensor_tells_is_an_event(rig: Callable[..., Rig]) -> None:
    way = rig()
    pipeline = way.pipeline(Scripted([[Lost(time.time_ns(), 9, "bpf", "full")]]))
    pipeline.start()
    pipeline.stop(10)
    (event,) = way.events()
    assert (event["EventType"], event["LostCount"]) == ("telemetry_loss", 9)


def block(number: int, events: int = 2) -> ReplayBlock:
    text = b"".join(b'{"Id": "%d-%d"}\n' % (number, event) for event in range(events))
    header = Header(events=events, first=1, last=2, place=Place("/f", 1, 2, number))
    return ReplayBlock(text, header)


def test_replayed_blocks_are_packets_of_their_own_with_their_place(
    rig: Callable[..., Rig], until: Callable[..., Any]
) -> None:
    way = rig()
    source = Scripted([[block(1)], exits(3), [block(2)], [block(3)]], lossless=True)
    pipeline = way.pipeline(source)
    pipeline.start()
    until(lambda: not source.batches)
    pipeline.stop(10)
    assert [len(packet) for packet in way.packets()] == [2, 3, 2, 2]
    assert way.spool.place == Place("/f", 1, 2, 3)


def test_source_that_ends_finishes_the_pipeline(rig: Callable[..., Rig]) -> None:
    way = rig()
    source = Scripted([[block(1)]], lossless=True)
    source.finished = True
    pipeline = way.pipeline(source)
    pipeline.start()
    assert pipeline.finished.wait(10)
    assert len(way.packets()) == 1
    pipeline.stop(10)


def test_source_that_can_wait_is_not_read_while_the_spool_is_half_full(
    rig: Callable[..., Rig], until: Callable[..., Any]
) -> None:
    import os

    way = rig(spool=SpoolSettings(maximum_bytes=1 << 20, segment_bytes=64 * 1024))
    source = Scripted([[block(number)] for number in range(30)], lossless=True)
    pipeline = way.pipeline(source)
    half = [Packet(Header(events=1, first=1, last=1), os.urandom(90_000)) for _ in range(6)]
    for packet in half:
        way.spool.put(packet)
    pipeline.start()
    time.sleep(0.2)
    assert source.reads == 0
    taken, after = [], 0
    while (one := way.spool.take(after, 0)) is not None:
        taken.append(one)
        after = one.number
    for one in taken:
        way.spool.acknowledge(one)
    until(lambda: not source.batches)
    pipeline.stop(10)
    assert sum(map(len, way.packets())) == 60
    assert way.losses.totals() == {}


def test_queue_of_a_source_that_can_wait_is_bounded(
    rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    way = rig()
    hung = threading.Event()
    put = way.spool.put
    monkeypatch.setattr(way.spool, "put", lambda packet: hung.wait(30) and put(packet))
    source = Scripted([[block(number)] for number in range(100)], lossless=True)
    pipeline = way.pipeline(source)
    pipeline.start()
    until(lambda: source.reads >= 2)
    time.sleep(0.2)
    assert source.reads <= 4
    hung.set()
    until(lambda: not source.batches)
    pipeline.stop(10)
    assert len(way.packets()) == 100


def test_fork_then_exit_tells_the_same_process(rig: Callable[..., Rig]) -> None:
    way = rig()
    child = ProcessKey(4_000_005, 30_000_000)
    records: list[Record] = [
        Fork(time.time_ns(), child, PARENT, comm=b"sh"),
        Exit(time.time_ns(), child),
    ]
    pipeline = way.pipeline(Scripted([records]))
    pipeline.start()
    pipeline.stop(10)
    fork, end = way.events()
    assert fork["UniquePid"] == end["UniquePid"]
    assert fork["UniqueParentPid"] == end["UniqueParentPid"]


def test_failure_of_the_sensor_is_told(rig: Callable[..., Rig], until: Callable[..., Any]) -> None:
    class Failing(Scripted):
        def read(self, timeout: float) -> Sequence[Any]:
            if self.batches:
                return super().read(timeout)
            raise OSError(5, "Input/output error")

    way = rig()
    pipeline = way.pipeline(Failing([exits(3)]))
    assert pipeline.failure == ""
    pipeline.start()
    assert "Input/output error" in until(lambda: pipeline.failure)
    pipeline.stop(10)
    assert len(way.events()) == 3
