from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import zstandard

from deodar.agent import pipeline as module
from deodar.agent.age import AgeClock
from deodar.agent.exclusions import compile_exclusions
from deodar.agent.loss import LossBook
from deodar.agent.packets import Header, Packet, Place
from deodar.agent.pipeline import Pipeline, PipelinePolicy
from deodar.agent.sensors.base import Exec, Exit, Fork, Lost, ProcessKey, Record, SensorCounters
from deodar.agent.sensors.replay import ReplayBlock
from deodar.agent.settings import AgentSettings, SensorSettings, SpoolSettings, TransferSettings
from deodar.agent.spool import Spool
from deodar.agent.throttle import ThrottleLimits
from deodar.tasks.settings import BehaviorDetectionSettings, TrustedProgram

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
        self.woken = threading.Event()

    def read(self, timeout: float) -> Sequence[Any]:
        if self.batches:
            self.reads += 1
            return self.batches.pop(0)
        self.woken.wait(timeout)
        self.woken.clear()
        return self.batches.pop(0) if self.batches else []

    def give(self, batch: Sequence[Any]) -> None:
        self.batches.append(batch)
        self.woken.set()

    def interrupt(self) -> None:
        self.woken.set()

    def counters(self) -> SensorCounters:
        return SensorCounters(0, 0)


class Rig:
    """A pipeline with a real spool."""

    def __init__(self, folder: Path, context: Context, settings: AgentSettings) -> None:
        self.losses = LossBook()
        age = AgeClock(folder / "age")
        self.spool = Spool(folder / "spool", settings.spool, self.losses, age)
        self.context = context
        self.settings = settings
        self.put: list[Packet] = []

    def pipeline(self, source: Any, **policy: Any) -> Pipeline:
        put = self.spool.put

        def note(packet: Packet) -> None:
            put(packet)
            self.put.append(packet)

        self.spool.put = note  # type: ignore[method-assign]
        wanted = PipelinePolicy(**policy)
        return Pipeline(source, self.context, self.spool, self.losses, self.settings, wanted)

    def packets(self) -> list[list[dict[str, Any]]]:
        packets = []
        for packet in self.put:
            text = zstandard.ZstdDecompressor().stream_reader(packet.body).readall()
            events = [json.loads(line) for line in text.splitlines()]
            assert len(events) == packet.header.events
            packets.append(events)
        assert self.spool.state().events == sum(map(len, packets))
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
    way = rig()
    pipeline = way.pipeline(Scripted([exits(1)]), store_delay=0.1)
    started = time.monotonic()
    pipeline.start()
    until(lambda: way.put)
    assert 0.1 <= time.monotonic() - started < 2
    pipeline.stop(10)


@pytest.mark.parametrize(
    ("transfer", "least"),
    [
        (TransferSettings(enough_events=10), 10),
        (TransferSettings(maximum_events=10), 10),
        (TransferSettings(maximum_bytes=4096), 5),
    ],
)
def test_packet_is_bounded_by_events_and_by_bytes(
    transfer: TransferSettings, least: int, rig: Callable[..., Rig]
) -> None:
    way = rig(transfer=transfer)
    pipeline = way.pipeline(Scripted([exits(100)]), store_delay=60)
    pipeline.start()
    pipeline.stop(10)
    packets = way.packets()
    most = min(transfer.maximum_events, transfer.enough_events)
    assert sum(map(len, packets)) == 100
    assert all(least <= len(packet) <= most for packet in packets[:-1])
    sizes = [len("\n".join(json.dumps(e, separators=(",", ":")) for e in p)) for p in packets]
    assert all(size <= transfer.maximum_bytes for size in sizes)


def test_what_a_stop_cannot_wait_for_is_counted(
    rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    real = module.line_of

    def slow(context: Context, record: Record) -> Any:
        time.sleep(0.02)
        return real(context, record)

    monkeypatch.setattr(module, "line_of", slow)
    way = rig()
    source = Scripted([exits(500)])
    pipeline = way.pipeline(source)
    pipeline.start()
    until(lambda: not source.batches)
    began = time.monotonic()
    pipeline.stop(0.5)
    assert time.monotonic() - began < 5
    told = [event for event in way.events() if event["EventType"] == "telemetry_loss"]
    made = [event for event in way.events() if event["EventType"] == "process_terminate"]
    (loss,) = told
    assert (loss["LostStage"], loss["LostReason"]) == ("queue", module.STOPPED_EARLY)
    assert 0 < loss["LostCount"] < 500
    assert loss["LostCount"] + len(made) == 500


def test_slow_enrichment_never_holds_up_the_sensor(
    rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    hung = threading.Event()
    real = module.line_of

    def slow(context: Context, record: Record) -> Any:
        hung.wait(30)
        return real(context, record)

    monkeypatch.setattr(module, "line_of", slow)
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
    for _ in range(6):
        way.spool.put(Packet(Header(events=1, first=1, last=1, medium=1), os.urandom(90_000)))
    pipeline = way.pipeline(source)
    pipeline.start()
    time.sleep(0.2)
    assert source.reads == 0
    way.spool.acknowledge_to(6)
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


CHILD = ProcessKey(4_000_007, 50_000_000)


def gated(reason: str = "EnableTelemetry is No") -> dict[str, Any]:
    return {"send": False, "gate_reason": reason}


@pytest.mark.setting("KATAEDR.EnableTelemetry")
def test_closed_gate_counts_and_one_event_tells_when_it_opens(
    rig: Callable[..., Rig], until: Callable[..., Any], saw: Callable[[str, str], None]
) -> None:
    way = rig()
    source = Scripted([exits(40)])
    pipeline = way.pipeline(source, **gated())
    pipeline.start()
    until(lambda: pipeline.counters.gated == 40)
    time.sleep(1.2)  # longer than the housekeeping's pace
    assert way.put == []
    first = time.time_ns() // 1000
    pipeline.apply(PipelinePolicy())
    until(lambda: way.put)
    source.give(exits(3, 100))
    pipeline.stop(10)
    events = way.events()
    assert [event["EventType"] for event in events] == ["telemetry_loss"] + [
        "process_terminate"
    ] * 3
    told = events[0]
    assert (told["LostCount"], told["LostStage"]) == (40, "gate")
    assert told["LostReason"] == "EnableTelemetry is No"
    assert told["LostFirstTime"] <= told["LostLastTime"] < first
    assert way.losses.totals() == {"gate": 40}
    saw(
        "KATAEDR.EnableTelemetry",
        "with No 40 events went nowhere; with Yes again one telemetry_loss told of "
        f"{told['LostCount']}, and the next {len(events) - 1} events were stored",
    )


def test_processes_are_known_that_started_while_the_gate_was_closed(
    rig: Callable[..., Rig], until: Callable[..., Any]
) -> None:
    way = rig()
    start = Exec(time.time_ns(), CHILD, PARENT, [b"/bin/x", b"1"], exe=b"/bin/x")
    source = Scripted([[start]])
    pipeline = way.pipeline(source, **gated())
    pipeline.start()
    until(lambda: pipeline.counters.gated)
    pipeline.apply(PipelinePolicy())
    source.give([Exit(time.time_ns(), CHILD)])
    pipeline.stop(10)
    assert way.events()[1]["FileFullName"] == "/bin/x"


def test_replay_waits_while_the_gate_is_closed(
    rig: Callable[..., Rig], until: Callable[..., Any]
) -> None:
    way = rig()
    source = Scripted([[block(1)]], lossless=True)
    pipeline = way.pipeline(source, **gated())
    pipeline.start()
    time.sleep(0.2)
    assert source.batches
    pipeline.apply(PipelinePolicy())
    until(lambda: way.put)
    pipeline.stop(10)
    assert way.losses.totals() == {}


def test_what_the_agent_tells_of_itself_passes_the_gate_and_does_not_wait(
    rig: Callable[..., Rig], until: Callable[..., Any]
) -> None:
    way = rig()
    pipeline = way.pipeline(Scripted(), **gated(), store_delay=60)
    pipeline.start()
    pipeline.tell("agent_task_state", {"TaskName": "KATAEDR", "TaskState": "Stopped"})
    until(lambda: way.put)
    (event,) = way.events()
    assert (event["EventType"], event["TaskState"]) == ("agent_task_state", "Stopped")
    assert event["HostName"] == "host-1"
    assert event["Id"]
    assert abs(event["Timestamp"] / 1e6 - time.time()) < 10
    assert way.put[0].header.urgent
    pipeline.stop(10)


def test_header_says_how_many_of_which_importance(rig: Callable[..., Rig]) -> None:
    way = rig()
    start = Exec(time.time_ns(), CHILD, PARENT, [b"x"], exe=b"/bin/x")
    pipeline = way.pipeline(Scripted([[start, *exits(5)]]), store_delay=60)
    pipeline.start()
    pipeline.stop(10)
    header = way.put[0].header
    assert (header.low, header.medium, header.high, header.urgent) == (5, 1, 0, False)


def test_throttling_holds_back_low_importance_and_tells_it(rig: Callable[..., Rig]) -> None:
    way = rig()
    told: list[str] = []
    starts = [
        Exec(time.time_ns(), ProcessKey(4_100_000 + n, 10), PARENT, [b"x"], exe=b"/bin/x")
        for n in range(60)
    ]
    policy = PipelinePolicy(throttle=ThrottleLimits(use=True, per_hour=50, percent=5))
    pipeline = Pipeline(
        Scripted([[*starts, *exits(40)]]), way.context, way.spool, way.losses, way.settings, policy,
        notify=lambda name, _details: told.append(name),
    )  # fmt: skip
    pipeline.start()
    pipeline.stop(10)
    kept = pipeline.counters.events - 1  # the event that tells of it
    held = pipeline.counters.throttled
    assert held > 30
    assert kept + held == 100
    assert kept >= 60
    assert way.losses.totals() == {"throttle": held}
    assert told == ["ThrottlingStarted"]
    assert pipeline.throttled_since is not None


def test_losses_that_go_on_are_told_at_once_and_then_once_a_minute(
    rig: Callable[..., Rig], until: Callable[..., Any]
) -> None:
    way = rig()
    source = Scripted([[Lost(time.time_ns(), 1, "bpf", "full", "exec")]])
    pipeline = way.pipeline(source)
    pipeline.start()
    until(lambda: way.put, 8)
    for _ in range(3):
        source.give([Lost(time.time_ns(), 2, "bpf", "full", "exec")])
        time.sleep(0.5)
    assert len(way.put) == 1
    pipeline.stop(10)
    told = way.events()
    assert [event["LostCount"] for event in told] == [1, 6]
    assert told[0]["LostReason"] == "full (exec)"
    ids = [report for packet in way.put for report in packet.header.reports]
    assert ids == [event["Id"] for event in told]


def trusting(*programs: TrustedProgram, use: bool = True, use_mdr: bool = False) -> dict[str, Any]:
    behavior = BehaviorDetectionSettings(use_trusted_programs=use, trusted_programs=programs)
    return {"exclusions": compile_exclusions(behavior, use_mdr=use_mdr)}


def life(pid: int, parent: ProcessKey, exe: bytes) -> tuple[ProcessKey, list[Record]]:
    """Fork, exec and exit of a process."""
    key, now = ProcessKey(pid, pid * 10_000_000), time.time_ns()
    start = Exec(now, key, parent, [exe], exe=exe)
    return key, [Fork(now, key, parent, comm=b"x"), start, Exit(now, key)]


TRUSTED = TrustedProgram(program_path="/opt/*/backup")


def test_records_of_trusted_programs_are_left_out_and_counted(rig: Callable[..., Rig]) -> None:
    way = rig()
    shell, shell_life = life(4_000_100, PARENT, b"/bin/sh")
    _, backup_life = life(4_000_101, shell, b"/opt/acme/backup")
    pipeline = way.pipeline(
        Scripted([[*shell_life[:2], *backup_life, shell_life[2]]]), **trusting(TRUSTED)
    )
    pipeline.start()
    pipeline.stop(10)
    told = [(event["EventType"], event["FileFullName"]) for event in way.events()]
    assert told == [
        ("process_fork", "x"),
        ("process", "/bin/sh"),
        ("process_fork", "/bin/sh"),  # the copy of the shell, before it ran the trusted program
        ("process_terminate", "/bin/sh"),
    ]
    assert pipeline.counters.excluded == 2
    assert way.losses.totals() == {}


def test_exclusions_can_change_meanwhile(
    rig: Callable[..., Rig], until: Callable[..., Any]
) -> None:
    way = rig()
    _, (_, start, end) = life(4_000_102, PARENT, b"/opt/acme/backup")
    source = Scripted([[start]])
    pipeline = way.pipeline(source, **trusting(TRUSTED))
    pipeline.start()
    until(lambda: pipeline.counters.excluded)
    pipeline.apply(PipelinePolicy(**trusting(TRUSTED, use_mdr=True)))
    source.give([end])
    pipeline.stop(10)
    (event,) = way.events()
    assert event["FileFullName"] == "/opt/acme/backup"


def test_stop_ends_a_long_wait_at_once(rig: Callable[..., Rig]) -> None:
    pipeline = rig().pipeline(Scripted())
    pipeline.start()
    time.sleep(0.1)
    before = time.monotonic()
    pipeline.stop(10)
    assert time.monotonic() - before < 2
    assert pipeline.finished.is_set()
