"""The stages between normalizing and the destinations: events a second on one core.

Each line is the way from a record of the journal to the packed batch, with more or fewer stages;
the ratio is to the way without any in the same run, so 1.00 is no cost. Aggregation syncs its
ledger for each record, as it does in production; the time of the disk is not in these figures, for
they are processor time.
"""

from __future__ import annotations

import json
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

EVENTS = 10_000
HASHES = 100_000
FETCHED_US = 1_795_310_453_954_321
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
    rates: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name, tables in ways(home):
            with Journal(home / "journal") as journal, way(home, journal, tables) as once:
                rates[name] = EVENTS / best(once)
            shutil.rmtree(home / "aggregation", ignore_errors=True)
    base = rates["no stage"]
    give(
        *(
            Line(f"a collector's stages: {name}", rate, "events/s", rate / base, "no stage")
            for name, rate in rates.items()
        )
    )


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
    yield "aggregation, few groups", {"aggregation": [few | sums]}
    yield "aggregation, many groups", {"aggregation": [many | sums]}


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
def way(home: Path, journal: Journal, tables: dict[str, Any]) -> Iterator[Callable[[], None]]:
    """Yield a function that takes one more record along a way."""
    empty: dict[str, Any] = {"filters": [], "enrichment": [], "aggregation": [], "dictionaries": []}
    settings = read(SimpleNamespace(**(empty | tables)), "bench")
    line = open_line(settings, home, Desk(journal, "bench", lambda _text: None), 1 << 30)
    program = compile_spec(loader.load("kedr"))
    preparer = Preparer(program, Stamp("s", "bench", "t"), journal.identity, line)
    lines = EventBuilder(1).ndjson(EVENTS).splitlines()
    body = b'{"events":[' + b",".join(lines) + b'],"continuationToken":"t"}'
    assert json.loads(body)["continuationToken"] == "t"

    def once() -> None:
        number = journal.last() + 1
        header = RecordHeader("answer", "bench", None, "t", "", FETCHED_US + number * 1_000_000)
        journal.append(encode(header), b"")
        prepared = preparer.prepare(Record(number, encode(header), body))
        assert prepared.normalized == EVENTS
        assert not prepared.letters
        journal.acknowledge(number)

    try:
        yield once
    finally:
        line.close()


if __name__ == "__main__":
    main()
