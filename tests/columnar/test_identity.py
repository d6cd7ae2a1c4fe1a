from __future__ import annotations

import json

import pyarrow as pa

from deodar.columnar import program
from deodar.columnar.identity import spec_for
from deodar.events.builders import EventBuilder
from deodar.events.codec import encode, value
from deodar.events.vocabulary import VOCABULARY

FIELDS = VOCABULARY.fields.values()
PROGRAM = program.compile(spec_for(FIELDS, {n: t.fields for n, t in VOCABULARY.types.items()}))
ARROW = {"string": pa.string(), "integer": pa.int64(), "strings": pa.list_(pa.string())}
EMPTY = {"string": "", "integer": None, "strings": []}


def test_every_field_of_every_event_is_in_the_column_of_its_name() -> None:
    builder = EventBuilder(11, complete=True)
    events = [builder.event(name) for name in VOCABULARY.types for _ in range(5)]
    events += builder.events(500)
    outcome = PROGRAM.run([encode(event) for event in events])
    assert outcome.rows == list(range(len(events)))
    assert outcome.tolerated == 0
    for row, event in zip(outcome.batch.to_pylist(), events, strict=True):
        for field in FIELDS:
            expected = value(event, field.name)
            assert (row.get(field.name) or EMPTY[field.kind]) == (expected or EMPTY[field.kind])


def test_columns_have_the_types_of_the_fields() -> None:
    batch = PROGRAM.run([encode(event) for event in EventBuilder(2).events(2000)]).batch
    for column in batch.schema:
        if column.name in VOCABULARY.fields:
            assert column.type == ARROW[VOCABULARY.fields[column.name].kind]
    assert batch.column("HostName").null_count == 0


def test_zero_is_not_absent() -> None:
    batch = PROGRAM.run([b'{"EventType":"process","Uid":0}', b'{"EventType":"process"}']).batch
    assert batch.column("Uid").to_pylist() == [0, None]


def test_unknown_fields_and_whole_objects_are_in_extra() -> None:
    ioa = {"Rules": [{"Id": "1", "Name": "n", "Score": 5}]}
    raw = json.dumps({"EventType": "odd", "Ioa": ioa, "Brand": "new"}).encode()
    row = PROGRAM.run([raw]).batch.to_pylist()[0]
    extra = dict(row["Extra"])
    assert extra["Brand"] == "new"
    assert json.loads(extra["Ioa"]) == ioa
    assert row["Ioa.Rules.Name"] == ["n"]
