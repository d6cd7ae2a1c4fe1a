"""Normalized events of every type, as a collector makes them of generated ones."""

from __future__ import annotations

import json
from functools import cache

from deodar.columnar.program import compile as compile_spec
from deodar.events import VOCABULARY
from deodar.events.builders import EventBuilder
from deodar.kit.journal import Record
from deodar.siem.collector.prepare import Preparer, Stamp
from deodar.siem.collector.record import RecordHeader, encode
from deodar.siem.destinations.forms import rows
from deodar.siem.normalizers import loader


@cache
def normalized() -> tuple[dict, ...]:
    builder = EventBuilder(9)
    events = [builder.event(name) for name in VOCABULARY.types for _ in range(5)]
    events += builder.events(300)
    body = json.dumps({"events": events, "continuationToken": "t"}).encode()
    header = RecordHeader("answer", "s", None, "t", "https://edr", 1_795_310_453_954_321)
    preparer = Preparer(compile_spec(loader.load("kedr")), Stamp("s", "kedr", "t"), "journal")
    prepared = preparer.prepare(Record(1, encode(header), body))
    assert not prepared.letters
    return tuple(rows(prepared.events))
