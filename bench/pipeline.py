"""The stages between normalizing and the destinations: their cost for each event, on one core.

The ratio of a line is to what normalizing and packing the same events cost in the same run, so 0.10
is a tenth more for each event. Processor time: what aggregation waits for, while its ledger is
synced once for each record, is not in it.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

from bench.normalization import best
from bench.report import Line
from bench.stand import give
from deodar.columnar.program import compile as compile_spec
from deodar.events.builders import EventBuilder
from deodar.kit.journal import Journal, Record
from deodar.siem.collector.desk import Desk
from deodar.siem.collector.prepare import Preparer, Stamp
from deodar.siem.collector.record import RecordHeader, encode
from deodar.siem.normalizers import loader
from deodar.siem.pipeline.settings import open_line, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from deodar.siem.pipeline.line import Line as Stages

EVENTS = 10_000
HASHES = 100_000
FETCHED_US = 1_795_310_453_954_321
HEADER = RecordHeader("answer", "bench", None, "t", "", FETCHED_US)
CONDITIONS = (
    "DeviceEventCategory != 'none'",
    "NOT DestinationUserName endsWith '$'",
    "NOT SourceAddress inSubnet ['203.0.113.0/24', '2001:db8::/32']",
    "NOT Name match '(mimikatz|procdump).*lsass'",
    "NOT DestinationPort = [31337, 6667]",
    "FileSize >= 0",
    "NOT FilePath startsWith '/proc/'",
    "NOT DeviceCustomString4 contains 'no such command'",
    "NOT Extra.WorkingDirectory = '/nowhere' OR SourceProcessID > 0",
    "NOT SourceUserName = DestinationUserName ignoreCase OR Name != ''",
)


def main() -> None:
    """Measure and print."""
    lines = EventBuilder(1).ndjson(EVENTS).splitlines()
    body = b'{"events":[' + b",".join(lines) + b'],"continuationToken":"t"}'
    record = Record(1, encode(HEADER), body)
    preparer = Preparer(compile_spec(loader.load("kedr")), Stamp("s", "bench", "t"), "bench")
    events = preparer.prepare(record).events
    whole = best(lambda: check(preparer.prepare(record).rows))
    costs: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name, tables in ways(home):
            with Journal(home / "journal") as journal, way(home, journal, tables) as line:
                costs[name] = best(once(line, events))
            shutil.rmtree(home / "aggregation", ignore_errors=True)
    give(
        Line("normalizing and packing, one core", whole / EVENTS * 1e6, "µs/event"),
        *(
            Line(f"a stage: {name}", cost / EVENTS * 1e6, "µs/event", cost / whole, "normalizing")
            for name, cost in costs.items()
        ),
    )


def check(events: int) -> None:
    assert events == EVENTS


def once(line: Stages, events: pa.RecordBatch) -> Callable[[], None]:
    """Return a function that passes the events as those of one more record."""
    numbers = itertools.count(1)
    rows = list(range(events.num_rows))

    def run() -> None:
        number = next(numbers)
        passed = line.run(events, rows, number, FETCHED_US + number * 1_000_000)
        left = passed.events.num_rows if passed.events else 0
        check(left + passed.counts.filtered + passed.counts.aggregated_in)

    return run


def ways(home: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each way by name with its tables of settings."""
    filters = [{"name": str(n), "code": code} for n, code in enumerate(CONDITIONS)]
    yield "no stage", {}
    yield "1 filter", {"filters": filters[:1]}
    yield "10 filters", {"filters": filters}
    for kind, rule in rules(home):
        table = {"name": kind, "kind": kind, **rule}
        known = [{"name": "d", "values": {f"/usr/bin/{n}": str(n) for n in range(1000)}}]
        yield f"enrichment {kind}", {"enrichment": [table], "dictionaries": known}
    few = {"name": "few groups", "identical": ["DeviceHostName", "DeviceEventCategory"]}
    many = {"name": "many groups", "identical": ["FilePath", "DestinationAddress"]}
    sums = {"unique": ["DestinationPort"], "sum": ["FileSize"]}
    alone = {"name": "alone", "identical": ["ExternalID"]}
    yield "aggregation, few groups", {"aggregation": [few | sums]}
    yield "aggregation, many groups", {"aggregation": [many | sums]}
    yield "aggregation, each event a group", {"aggregation": [alone | sums]}


def rules(home: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a rule of each kind; DNS answers from what is kept, for its servers' time is not ours.

    Nobody is at its server's address, which is kept as an answer too.
    """
    networks = MMDBWriter(4, "Bench")
    networks.insert_network(IPSet(["0.0.0.0/1"]), {"country": {"names": {"en": "Here"}}})
    networks.to_db_file(str(home / "places.mmdb"))
    lines = "".join(f"{number:032x}\n" for number in range(HASHES))
    (home / "hashes.txt").write_text(lines)
    yield "constant", {"target": "DeviceAction", "constant": "x"}
    yield "dictionary", {"target": "Reason", "dictionary": "d", "keys": ["FilePath"]}
    yield "event", {"target": "FileName", "field": "FilePath", "steps": ["lower"]}
    yield "template", {"target": "Message", "template": "{{.Name}} {{.SourceUserName}}"}
    yield "timezone", {"zone": "Europe/Vienna"}
    yield "geoip", {"file": "places.mmdb", "field": "DestinationAddress"}
    yield (
        "dns",
        {
            "field": "DestinationAddress",
            "target": "DestinationHostName",
            "servers": ["127.0.0.1:9"],
            "timeout": 0.05,
            "negative_seconds": 3600.0,
        },
    )
    yield "reputation", {"files": ["hashes.txt"]}


@contextmanager
def way(home: Path, journal: Journal, tables: dict[str, Any]) -> Iterator[Stages]:
    """Yield the stages of some settings."""
    empty: dict[str, Any] = {"filters": [], "enrichment": [], "aggregation": [], "dictionaries": []}
    settings = read(SimpleNamespace(**(empty | tables)), "bench")
    line = open_line(settings, home, Desk(journal, "bench", lambda _text: None), 1 << 30)
    try:
        yield line
    finally:
        line.close()


if __name__ == "__main__":
    main()
