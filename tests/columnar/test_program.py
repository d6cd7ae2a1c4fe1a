from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deodar.columnar import program
from deodar.columnar.errors import SpecError
from deodar.columnar.spec import Column, Rule, Spec
from deodar.columnar.steps import Divide, Lookup


def encode(event: Any) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode()


SPEC = Spec(
    name="test",
    columns=(
        Column("Category", "string", (Rule(path="EventType"),)),
        Column("Product", "string", (Rule(constant="KATA"),)),
        Column(
            "Command",
            "string",
            (
                Rule(path="KeyName", when=("registry",), label="Key"),
                Rule(path="StartupParameters", label="Command line"),
            ),
            max_length=10,
            label_target="CommandLabel",
        ),
        Column("End", "int64", (Rule(path="Timestamp", steps=(Divide(1000),)),)),
        Column("Rule", "string", (Rule(path="Ioa.Rules.0.Name"),)),
        Column("Size", "int64", (Rule(path="Size"),), nullable=True),
        Column("Protocol", "string", (Rule(path="Protocol", steps=(Lookup({"6": "TCP"}),)),)),
    ),
    kinds={"Timestamp": "integer", "Size": "integer", "Protocol": "integer"},
    types={"process": ("Timestamp", "StartupParameters", "Pid"), "registry": ("KeyName",)},
)


SAMPLES = [
    encode({"EventType": "process", "Timestamp": 5, "Size": 7, "Ioa": {"Rules": [{"Name": "é"}]}}),
    encode({"EventType": "registry", "KeyName": "k\u0000", "New": [1, {"a": None}]}),
    encode({"EventType": "process", "Size": "12"}),
]


def run(*given: Any, spec: Spec = SPEC) -> program.Outcome:
    raws = [event if isinstance(event, bytes) else encode(event) for event in given]
    return program.compile(spec).run(raws)


def extra_of(row: dict[str, Any]) -> dict[str, str]:
    return dict(row.get("Extra") or [])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(SAMPLES), st.binary(max_size=40)), max_size=6), st.data())
def test_no_bytes_stop_a_batch_and_none_are_lost(raws: list[bytes], data: st.DataObject) -> None:
    if raws:
        place = data.draw(st.integers(0, len(raws) - 1))
        where = data.draw(st.integers(0, len(raws[place])))
        raws[place] = raws[place][:where] + data.draw(st.binary(max_size=2)) + raws[place][where:]
    outcome = program.compile(SPEC).run(raws)
    places = sorted([*outcome.rows, *(letter.index for letter in outcome.dead)])
    assert places == list(range(len(raws)))
    assert outcome.rows == sorted(outcome.rows)
    assert outcome.batch.num_rows == len(outcome.rows)
    for letter in outcome.dead:
        assert letter.raw == raws[letter.index]
        assert letter.reason


def test_order_is_kept_round_events_that_need_the_interpreter_or_become_dead_letters() -> None:
    outcome = run(
        {"EventType": "process", "Size": 1},
        {"EventType": "process", "Size": "2"},
        b"not JSON",
        {"EventType": "registry", "Size": 3},
        {"EventType": "process", "Size": 4, "Unknown": {"a": 1}},
    )
    assert outcome.rows == [0, 1, 3, 4]
    assert outcome.batch.column("Size").to_pylist() == [1, 2, 3, 4]
    assert outcome.tolerated == 1
    assert [letter.index for letter in outcome.dead] == [2]
    assert outcome.dead[0].raw == b"not JSON"


@pytest.mark.parametrize(
    ("field", "value", "size", "kept"),
    [
        ("Size", "123", 123, None),
        ("Size", " 12 ", 12, None),
        ("Size", 12.0, 12, None),
        ("Size", True, 1, None),
        ("Size", "abc", None, "abc"),
        ("Size", 12.5, None, "12.5"),
        ("Size", 2**63, None, str(2**63)),
        ("Size", -(2**63), -(2**63), None),
        ("Size", {"a": [1]}, None, '{"a":[1]}'),
        ("Size", None, None, None),
    ],
)
def test_integers_are_coerced_or_kept_in_extra(
    field: str, value: Any, size: int | None, kept: str | None
) -> None:
    outcome = run({"EventType": "process", field: value, "Pid": "1"})
    row = outcome.batch.to_pylist()[0]
    assert row.get("Size") == size
    assert extra_of(row).get(field) == kept
    assert outcome.misfits == (kept is not None)


@pytest.mark.parametrize(
    ("value", "text"),
    [(5, "5"), (0.5, "0.5"), ({"a": "é"}, '{"a":"é"}'), ([1, "x"], '[1,"x"]'), (False, "false")],
)
def test_anything_can_be_a_text(value: Any, text: str) -> None:
    outcome = run({"EventType": "process", "StartupParameters": value})
    assert outcome.batch.column("Command").to_pylist() == [text]


def test_an_unknown_event_type_is_a_row_and_its_fields_are_in_extra() -> None:
    outcome = run({"EventType": "brand_new", "StartupParameters": "x", "Shape": {"a": None}})
    row = outcome.batch.to_pylist()[0]
    assert (row["Category"], row["Product"], row["Command"]) == ("brand_new", "KATA", "x")
    assert extra_of(row) == {"Shape": '{"a":null}'}
    assert outcome.tolerated == 0


def test_a_missing_or_odd_event_type_is_a_row_too() -> None:
    outcome = run({}, {"EventType": None}, {"EventType": 7}, {"EventType": ""})
    assert outcome.batch.column("Product").to_pylist() == ["KATA"] * 4
    assert outcome.batch.column("Category").to_pylist() == ["", "", "7", ""]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"5", "not a JSON object but a number"),
        (b"[]", "not a JSON object but an array"),
        (b"null", "not a JSON object but null"),
        (b'{"EventType":', "invalid JSON"),
        (b'{"EventType":"process"} {}', "invalid JSON"),
        (b'{"Size":NaN}', "NaN is not JSON"),
        (b'{"StartupParameters":"\xff"}', "invalid UTF-8 at byte 22"),
        (b'{"Unknown":"\xff"}', "invalid UTF-8 at byte 12"),
        (b'{"StartupParameters":"\\ud800"}', "half of a surrogate pair"),
        (b'{"Unknown":{"a":"\\udc00"}}', "half of a surrogate pair"),
        (b'{"Unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
        (b'{"Unknown":' + b"[" * 65 + b"]" * 65 + b"}", "nested deeper than 64 levels"),
        (b'{"Ioa":' + b"[" * 65 + b"]" * 65 + b"}", "nested deeper than 64 levels"),
        (b"[" * 100_000, "nested too deep"),
        (b"", "invalid JSON"),
    ],
)
def test_what_can_be_no_row_becomes_a_dead_letter(raw: bytes, reason: str) -> None:
    outcome = run({"EventType": "process"}, raw, {"EventType": "process"})
    assert outcome.rows == [0, 2]
    assert [letter.raw for letter in outcome.dead] == [raw]
    assert reason in outcome.dead[0].reason


def test_a_dead_letter_names_the_path() -> None:
    outcome = run(b'{"Unknown":{"a":["\\udc00"]}}')
    assert outcome.dead[0].path == "Unknown.a.0"


def test_labels_stand_only_beside_values() -> None:
    outcome = run(
        {"EventType": "process", "StartupParameters": "ls"},
        {"EventType": "process", "StartupParameters": ""},
        {"EventType": "registry", "KeyName": "HKLM"},
    )
    assert outcome.batch.column("CommandLabel").to_pylist() == ["Command line", "", "Key"]


def test_a_field_that_comes_too_late_is_kept_in_extra() -> None:
    row = run({"EventType": "registry", "KeyName": "HKLM", "StartupParameters": "reg.exe"})
    made = row.batch.to_pylist()[0]
    assert made["Command"] == "HKLM"
    assert extra_of(made) == {"StartupParameters": "reg.exe"}


def test_a_text_that_is_too_long_is_cut_by_characters_and_kept_whole() -> None:
    made = run({"EventType": "process", "StartupParameters": "é" * 11}).batch.to_pylist()[0]
    assert made["Command"] == "é" * 10
    assert extra_of(made) == {"StartupParameters": "é" * 11}


def test_an_object_read_in_parts_is_kept_whole() -> None:
    ioa = {"Rules": [{"Name": "first", "Id": 4}, {"Name": "second"}]}
    made = run({"EventType": "process", "Ioa": ioa}).batch.to_pylist()[0]
    assert made["Rule"] == "first"
    assert json.loads(extra_of(made)["Ioa"]) == ioa


def test_columns_without_values_are_left_out_and_types_are_as_asked() -> None:
    batch = run({"EventType": "process", "Timestamp": 1999, "Size": 2}, {"Size": None}).batch
    assert batch.schema.field("End").type == pa.int64()
    assert batch.column("End").to_pylist() == [1, 0]
    assert batch.column("Size").to_pylist() == [2, None]
    assert "Rule" not in batch.schema.names
    assert "Extra" not in batch.schema.names
    assert batch.column("Category").null_count == 0


def test_events_that_fill_nothing_are_still_rows() -> None:
    spec = Spec(name="one", columns=(Column("A", "string", (Rule(path="A"),)),))
    outcome = run({}, {"A": None}, spec=spec)
    assert outcome.batch.num_rows == 2
    assert outcome.rows == [0, 1]


def test_an_empty_batch_is_an_empty_outcome() -> None:
    outcome = run()
    assert (outcome.batch.num_rows, outcome.rows, outcome.dead) == (0, [], [])


def test_the_source_text_is_kept_as_asked() -> None:
    def texts(raw: str, limit: int = 100) -> list[str]:
        spec = Spec(
            name="raw", columns=SPEC.columns, kinds=SPEC.kinds, types=SPEC.types, raw=raw,
            raw_limit=limit,
        )  # fmt: skip
        batch = run({"Size": 1}, {"Size": "é"}, spec=spec).batch
        return batch.column("Raw").to_pylist() if "Raw" in batch.schema.names else []

    assert texts("never") == []
    assert texts("error") == ["", '{"Size": "é"}']
    assert texts("always") == ['{"Size": 1}', '{"Size": "é"}']
    assert texts("always", 11) == ['{"Size": 1}', '{"Size": "']


def test_a_batch_longer_than_a_run_keeps_its_order() -> None:
    count = 5000
    batch = [{"EventType": "process", "Size": n, "Ioa": {"n": n}} for n in range(count)]
    batch[4500]["Size"] = "4500"
    batch[17]["Ioa"] = {"Rules": [{"Name": {"odd": 1}}]}
    outcome = run(*batch)
    assert outcome.batch.column("Size").to_pylist() == list(range(count))
    kept = [json.loads(dict(entry)["Ioa"]) for entry in outcome.batch.column("Extra").to_pylist()]
    assert [entry.get("n") for n, entry in enumerate(kept) if n != 17] == [
        n for n in range(count) if n != 17
    ]


def test_a_spec_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(SpecError, match="defined twice"):
        program.compile(Spec(name="x", columns=(SPEC.columns[0], SPEC.columns[0])))
