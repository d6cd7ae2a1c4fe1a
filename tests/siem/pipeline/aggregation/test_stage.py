"""Aggregation over a real journal: redone, restarted, killed, and still each event counted once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import msgspec
import pytest
from tests.siem.collector.test_service import Edr, report, until
from tests.siem.pipeline.aggregation.test_rule import rule
from tests.siem.pipeline.source import Source
from tests.siem.scripted import ScriptedServer

from deodar.columnar.program import compile as compile_spec
from deodar.kit import settings as files
from deodar.kit.journal import Journal, JournalFull
from deodar.siem.normalizers import loader
from deodar.siem.pipeline.aggregation.stage import Aggregation
from deodar.siem.pipeline.frame import EventFrame, frame_of
from deodar.siem.settings import CollectorSettings

SECOND = 1_000_000
NOTHING = frame_of([])


@pytest.fixture
def source(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        yield Source(journal)


def stage(tmp_path, source, *rules, max_bytes=1 << 30) -> Aggregation:
    return Aggregation(rules, tmp_path, source, max_bytes)


def put(source, names: str) -> int:
    return source.journal.append(b"", names.encode())


def frame(names: str) -> EventFrame:
    return frame_of([{"Name": name, "FileSize": 1} for name in names])


def run(aggregation, source, number, seconds=None):
    """Run a record and those before it that were missed; return what came out, by name."""
    records = {one.number: one.body.decode() for one in source.journal.read()}
    for missed in aggregation.missed(number):
        aggregation.run(frame(missed.body.decode()), missed.number, missed.number * SECOND)
    done = aggregation.run(frame(records[number]), number, (seconds or number) * SECOND)
    out = [] if done.out is None else done.out.to_pylist()
    return [(one["Name"], one["BaseEventCount"]) for one in out], len(done.frame)


def test_a_record_gets_the_same_whenever_it_is_asked_for(tmp_path, source):
    for names in ("aab", "abc", "aaa"):
        put(source, names)
    made = stage(tmp_path, source, rule(threshold=3, filter="Name != 'c'"))
    first = [run(made, source, number) for number in (1, 2, 3)]
    assert first == [([], 0), ([("a", 3)], 1), ([("a", 3)], 0)]
    assert [run(made, source, number) for number in (2, 1, 3)] == [first[1], first[0], first[2]]
    made.close()
    made = stage(tmp_path, source, rule(threshold=2, filter="Name = 'c'"))  # changed meanwhile
    assert [run(made, source, number) for number in (1, 2, 3)] == first
    made.close()


def test_records_that_were_jumped_over_are_folded_first(tmp_path, source):
    for names in ("a", "a", "a", "b"):
        put(source, names)
    made = stage(tmp_path, source, rule(threshold=3))
    assert run(made, source, 4) == ([], 0)
    assert made.frontier == 4
    assert run(made, source, 3) == ([("a", 3)], 0)
    made.close()


def wide(count: int) -> EventFrame:
    return frame_of([{"Name": "a", "Message": f"{n:0500}"} for n in range(count)])


def test_what_cannot_be_made_durable_has_not_happened(tmp_path, source):
    made = stage(tmp_path, source, rule(identical=["Name", "Message"]), max_bytes=20_000)
    number = 0
    with pytest.raises(JournalFull):  # noqa: PT012  the loop is what fills it
        while True:
            made.run(wide(4), number + 1, SECOND)
            number += 1
    assert (made.frontier, made.windows) == (number, 4)
    with pytest.raises(JournalFull):
        made.run(wide(4), number + 1, SECOND)
    made.close()


def test_what_could_never_be_noted_goes_on_as_it_is(tmp_path, source):
    made = stage(tmp_path, source, rule(identical=["Name", "Message"]), max_bytes=20_000)
    done = made.run(wide(100), 1, SECOND)
    assert (len(done.frame), done.out, made.frontier, made.windows) == (100, None, 1, 0)
    made.close()


def test_a_window_that_waits_for_time_alone_is_due(tmp_path, source):
    put(source, "a")
    made = stage(tmp_path, source, rule(lifetime=60))
    assert not made.is_due(10**15)
    run(made, source, 1, seconds=100)
    assert not made.is_due(159 * SECOND)
    assert made.is_due(160 * SECOND)
    assert made.is_due(80 * SECOND)  # the clock was set back
    tick = put(source, "")
    assert not made.is_due(160 * SECOND)  # a record comes that will close it
    assert run(made, source, tick, seconds=160) == ([("a", 1)], 0)
    assert not made.is_due(10**15)
    made.close()


def test_windows_outlive_their_rule_until_the_next_record(tmp_path, source):
    put(source, "aa")
    made = stage(tmp_path, source, rule())
    run(made, source, 1)
    made.close()
    put(source, "a")
    made = stage(tmp_path, source)
    assert run(made, source, 2) == ([("a", 2)], 1)
    put(source, "a")
    assert run(made, source, 3) == ([], 1)
    made.close()


def test_a_record_without_events_that_was_passed_gets_nothing_more_after_a_change(tmp_path, source):
    put(source, "aa")
    put(source, "")
    made = stage(tmp_path, source, rule())
    assert [run(made, source, number) for number in (1, 2)] == [([], 0), ([], 0)]
    made.close()
    made = stage(tmp_path, source)  # the rule is gone: its window is to come out
    assert run(made, source, 2) == ([], 0)
    put(source, "")
    assert run(made, source, 3) == ([("a", 2)], 0)
    made.close()


@pytest.mark.parametrize("seed", range(4))
def test_restarted_at_random_places_every_event_is_counted_once(tmp_path, source, seed):
    chance = random.Random(seed)
    for _ in range(60):
        put(source, "".join(chance.choices("abcde", k=chance.randrange(8))))
    rules = [rule(threshold=4, lifetime=5, sum=["FileSize"])]
    made = stage(tmp_path, source, *rules)
    seen: dict[int, list] = {}
    number = 1
    while number <= 60:
        out, left = run(made, source, number)
        assert left == 0
        assert seen.setdefault(number, out) == out
        number += 1
        if chance.random() < 0.3:
            made.close()
            made = stage(tmp_path, source, *rules)
            number = max(1, number - chance.randrange(5))
    tick = put(source, "")
    seen[tick], _ = run(made, source, tick, seconds=1000)
    made.close()
    counted = Counter()
    for out in seen.values():
        for name, count in out:
            counted[name] += count
    assert counted == Counter("".join(one.body.decode() for one in source.journal.read()))


RULE = {
    "name": "by category",
    "identical": ["DeviceEventCategory", "Extra.Stage"],
    "lifetime": 2.0,
}


def staged(home, **tables):
    settings = files.load(home.path / "collector.toml", CollectorSettings)
    changed = msgspec.structs.replace(settings, **tables)
    home.write("collector.toml", files.dump(changed).encode())


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_killed_at_random_moments_sums_are_right(core, tmp_path, collector_process):
    edr, chance = Edr(10, 200), random.Random(7)
    events = [msgspec.json.encode(one) for page in edr.events for one in page]
    batch = compile_spec(loader.load("kedr")).run(events).batch
    expected = Counter(batch.column("DeviceEventCategory").to_pylist())
    dropped = expected.pop("filechange")
    async with ScriptedServer(edr, tmp_path) as server:
        home = core.collector(server.url, pins=(server.pin,))
        staged(
            home,
            destinations=[{"name": "archive", "kind": "file", "path": "events.jsonl"}],
            filters=[{"name": "all but one", "code": "DeviceEventCategory != 'filechange'"}],
            enrichment=[
                {"name": "e", "kind": "constant", "target": "Extra.Stage", "constant": "enriched"}
            ],
            aggregation=[{**RULE, "threshold": 37, "sum": ["DestinationPort"]}],
        )
        kills = 0
        while kills < 3:
            child = await asyncio.to_thread(collector_process, home)
            begun = len(server.asked)
            await server.until(lambda begun=begun: len(server.asked) > begun)
            await asyncio.sleep(chance.uniform(0.0, 0.6))  # the moment is to be a random one
            await asyncio.to_thread(child.kill)
            kills += 1
        await asyncio.to_thread(collector_process, home)
        sql = (
            "select DeviceEventCategory as category, sum(BaseEventCount) as events, "
            "sum(DestinationPort) as ports, min(Type) as least, max(BaseEventCount) as most, "
            "uniqExact(Extra['Stage']) as stages, any(Extra['Stage']) as stage "
            f"from events where ServiceName = '{home.path.name}' group by category"
        )

        def found() -> dict[str, dict]:
            return {row["category"]: row for row in core.search(sql)}

        def complete() -> bool:
            return sum(row["events"] for row in found().values()) >= len(events) - dropped

        await until(complete, limit=90)
        await until(lambda: {one.waiting for one in report(home).destinations} == {0}, limit=90)
    rows = found()
    written = {}  # what is written again after a kill has the same id, and is the same
    for line in (home.path / "events.jsonl").read_bytes().splitlines():
        event = msgspec.json.decode(line)
        assert written.setdefault(event["ID"], event) == event
    archived = Counter()
    for event in written.values():
        archived[event["DeviceEventCategory"]] += event["BaseEventCount"]
    assert archived == expected
    assert {name: row["events"] for name, row in rows.items()} == expected
    assert {(row["least"], row["most"] <= 37) for row in rows.values()} == {(2, True)}
    assert {(row["stages"], row["stage"]) for row in rows.values()} == {(1, "enriched")}
    ports = zip(
        batch.column("DeviceEventCategory").to_pylist(),
        batch.column("DestinationPort").to_pylist(),
        strict=True,
    )
    total = sum(port for category, port in ports if category != "filechange")
    assert sum(row["ports"] for row in rows.values()) == total
