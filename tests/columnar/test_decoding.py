from __future__ import annotations

import msgspec

from deodar.columnar import decoding
from deodar.columnar.decoding import EventDecoder
from deodar.columnar.fields import Fields
from deodar.columnar.frame import Frame
from deodar.columnar.spec import Column, Rule, Spec

SPEC = Spec(
    name="d",
    columns=(Column("R", "strings", (Rule(path="Ioa.Rules.Name"),)),),
    kinds={"Size": "integer", "Ioa.Rules.Name": "strings", "Ioa.Score": "integer"},
    types={"process": ("Text", "Size", "Ioa")},
)


def decode(*events: bytes | msgspec.Raw) -> Frame:
    return EventDecoder(SPEC, Fields(SPEC)).decode(events)


def test_fields_become_arrays_in_the_order_of_the_events() -> None:
    frame = decode(b'{"Text":"a","EventType":"process"}', b'{"Size":5}', b'{"Text":null}')
    assert frame.arrays["Text"].to_pylist() == ["a", None, None]
    assert frame.arrays["Size"].to_pylist() == [None, 5, None]
    assert "Ioa" not in frame.nested
    assert frame.places.tolist() == [0, 1, 2]


def test_undecoded_events_of_an_envelope_are_taken_as_they_are() -> None:
    raws = msgspec.json.decode(b'[{"Text":"a"}, {"Text":"b"}]', type=list[msgspec.Raw])
    assert decode(*raws).arrays["Text"].to_pylist() == ["a", "b"]


def test_fields_that_the_spec_does_not_name_are_collected() -> None:
    frame = decode(b'{"Text":"a"}', b'{"Text":"b","New":{"x":1.50},"Other":null,"One":1}')
    assert frame.rest == {1: {"New": '{"x":1.5}', "One": "1"}}
    assert frame.arrays["Text"].to_pylist() == ["a", "b"]


def test_what_does_not_fit_is_left_out_and_named() -> None:
    frame = decode(b'{"Size":"5"}', b'{"Size":1}', b"[]", b'{"Size":9223372036854775808}')
    assert frame.refused == [0, 2, 3]
    assert frame.places.tolist() == [1]


def test_nested_values_are_taken_out_and_checked() -> None:
    frame = decode(
        b'{"Ioa":{"Rules":[{"Name":"r"}]},"Size":0}',
        b'{"Ioa":{"Rules":"odd"},"Size":1}',
        b'{"Size":2}',
        b'{"Ioa":{"Score":"low"},"Size":3}',
    )
    assert frame.nested["Ioa"][0] == {"Rules": [{"Name": "r"}]}
    assert frame.arrays["Size"].to_pylist() == [0, 1, 2, 3]


def test_runs_are_joined() -> None:
    count = decoding.RUN * 2 + 3
    events = [b'{"Size":%d,"Ioa":{"n":%d}}' % (n, n) for n in range(count)]
    events[decoding.RUN + 1] = b"broken"
    frame = decode(*events)
    assert frame.refused == [decoding.RUN + 1]
    good = [n for n in range(count) if n != decoding.RUN + 1]
    assert frame.arrays["Size"].to_pylist() == good
    assert [frame.nested["Ioa"][row]["n"] for row in range(count - 1)] == good


def test_no_events_make_an_empty_frame() -> None:
    frame = decode()
    assert (frame.length, frame.arrays, frame.refused) == (0, {}, [])


def test_a_field_that_comes_often_gets_a_place_and_nothing_else_changes() -> None:
    decoder = EventDecoder(SPEC, Fields(SPEC))
    events = [b'{"Size":%d,"New":{"n":%d},"Odd":""}' % (n, n) for n in range(100)]
    events[7] = b'{"Size":7,"New":' + b"[" * 65 + b"]" * 65 + b"}"
    events[8] = b'{"Size":8,"New":null,"Other":1.50}'
    first, second = decoder.decode(events), decoder.decode(events)
    assert decoder._shape.learned == ("New", "Odd")
    assert second.rest == first.rest
    assert first.rest[8] == {"Other": "1.5"}
    assert first.rest[9] == {"New": '{"n":9}'}
    assert second.refused == first.refused == [7]
    assert second.arrays["Size"].equals(first.arrays["Size"])


def test_names_that_keep_changing_are_not_learned() -> None:
    decoder = EventDecoder(SPEC, Fields(SPEC))
    for batch in range(3):
        decoder.decode([b'{"x%d-%d":1}' % (batch, n) for n in range(1000)])
    assert decoder._shape.learned == ()
    assert len(decoder._seen) <= 1000
