from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deodar.columnar import program
from deodar.columnar.errors import Refused
from deodar.columnar.interpreter import Interpreter, Row
from deodar.columnar.spec import Column, Rule, Spec, check
from deodar.columnar.steps import (
    Append,
    Divide,
    Lookup,
    Lower,
    Prepend,
    Regexp,
    Replace,
    Substring,
    Trim,
    Upper,
)

KINDS = {
    "Text": "string",
    "Path": "string",
    "Number": "integer",
    "Time": "integer",
    "Ratio": "float",
    "Tags": "strings",
    "Ioa.Rules.Name": "strings",
    "Ioa.Rules.0.Name": "string",
    "Ioa.Rules.0.Level": "integer",
    "Ioa.Severity": "string",
}
FIELDS = ("Text", "Path", "Number", "Time", "Ratio", "Tags", "Ioa", "New", "Other key")
TYPES = {"process": ("Time", "Text", "Number"), "connection": ("Path", "Ioa"), "file": ()}
EMPTY = {"string": "", "int64": 0, "float64": 0.0, "strings": []}

steps = st.sampled_from(
    [
        Lower(),
        Upper(),
        Trim(),
        Trim("ab"),
        Replace("a", "bb"),
        Regexp(r"^(\w+)"),
        Regexp(r"(\d+)$"),
        Append("!"),
        Prepend(">"),
        Substring(1, 3),
        Substring(2),
        Lookup({"1": "one", "a": "letter"}),
        Lookup({"1": "one", "a": "7"}, "rest"),
        Divide(1000),
    ]
)
paths = st.sampled_from([*KINDS, "EventType", "New"])
whens = st.one_of(st.just(()), st.lists(st.sampled_from(sorted(TYPES)), min_size=1).map(tuple))


@st.composite
def columns(draw: st.DrawFn, index: int) -> Column:
    column_type = draw(st.sampled_from(sorted(EMPTY)))
    constants = {"string": "constant", "int64": 7, "float64": 0.5}
    rules = []
    for _ in range(draw(st.integers(1, 4))):
        label = draw(st.sampled_from(["", "first label", "second label"]))
        if column_type in constants and draw(st.integers(0, 5)) == 0:
            constant = constants[column_type]
            rules.append(Rule(constant=constant, when=draw(whens), label=label))
        else:
            its_steps = tuple(draw(st.lists(steps, max_size=2)))
            rules.append(Rule(path=draw(paths), when=draw(whens), steps=its_steps, label=label))
    return Column(
        target=f"C{index}",
        type=column_type,
        rules=tuple(rules),
        nullable=draw(st.booleans()),
        max_length=draw(st.sampled_from([None, 8, 12])) if column_type == "string" else None,
        label_target=f"C{index}Label",
    )


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    count = draw(st.integers(1, 5))
    spec = Spec(
        name="random",
        columns=tuple(draw(columns(index)) for index in range(count)),
        kinds=KINDS,
        types=TYPES,
        aliases={"proc": "process"},
        extra=draw(st.booleans()),
    )
    check(spec)
    return spec


texts = st.one_of(
    st.sampled_from(["", "a", "abc", " 12 ", "1", "12.0", "x" * 20, "é" * 10, "\x00", "😀" * 9]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
numbers = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([2**63, -(2**63), 2**63 - 1, -(2**63) - 1, 10**30, 1_750_000_000_123_456, -1]),
)
floats = st.sampled_from([0.5, 12.0, -3.25, 1e22, 1e-7, 2.0**70])
scalars = st.one_of(st.none(), texts, numbers, floats, st.booleans())
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=5,
)
RIGHT = {
    "Text": texts,
    "Path": texts,
    "Number": numbers,
    "Time": numbers,
    "Ratio": st.one_of(numbers, floats),
    "Tags": st.lists(texts, max_size=3),
    "Ioa": st.fixed_dictionaries(
        {},
        optional={
            "Rules": st.lists(
                st.fixed_dictionaries(
                    {}, optional={"Name": texts, "Level": st.one_of(numbers, texts), "x": scalars}
                ),
                max_size=3,
            ),
            "Severity": texts,
        },
    ),
    "New": anything,
    "Other key": anything,
}


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    event: dict[str, Any] = {}
    names = draw(st.lists(st.sampled_from(FIELDS), unique=True))
    wrong = draw(st.integers(0, 3)) == 0
    for name in names:
        event[name] = draw(st.one_of(anything, RIGHT[name]) if wrong else RIGHT[name])
    kinds = ["process", "connection", "file", "proc", "unheard-of", "", "Process"]
    if draw(st.integers(0, 9)):
        event["EventType"] = draw(st.sampled_from(kinds))
    elif wrong:
        event["EventType"] = draw(scalars)
    return event


def encode(event: Any) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode()


def interpret(
    spec: Spec, raws: list[bytes]
) -> tuple[list[Row], list[int], list[tuple[int, str, str]]]:
    """Return the interpreter's rows, their places, and its refusals (place, path, reason)."""
    interpreter = Interpreter(spec)
    rows, places, refused = [], [], []
    for place, raw in enumerate(raws):
        try:
            rows.append(interpreter.row(raw))
            places.append(place)
        except Refused as error:
            refused.append((place, error.path, error.reason))
    return rows, places, refused


def extra_of(row: dict[str, Any]) -> dict[str, str]:
    return dict(row.get("Extra") or [])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(specs(), st.lists(events(), max_size=12))
def test_the_program_gives_the_rows_of_the_interpreter(
    spec: Spec, batch: list[dict[str, Any]]
) -> None:
    raws = [encode(event) for event in batch]
    outcome = program.compile(spec).run(raws)
    rows, places, refused = interpret(spec, raws)
    assert outcome.rows == places
    assert [(d.index, d.path, d.reason) for d in outcome.dead] == refused
    assert outcome.misfits == sum(bool(row.notes) for row in rows)
    for made, row in zip(outcome.batch.to_pylist(), rows, strict=True):
        assert extra_of(made) == row.extra
        for column in spec.columns:
            empty = None if column.nullable and "64" in column.type else EMPTY[column.type]
            assert (made.get(column.target) or empty) == (row.values.get(column.target) or empty)
            label = column.label_target
            assert made.get(label, "") == row.values.get(label, "")


def test_notes_say_which_field_did_not_fit_and_why() -> None:
    spec = Spec(
        name="notes",
        columns=(
            Column("N", "int64", (Rule(path="Number"), Rule(path="Text"))),
            Column("M", "int64", (Rule(path="Number"),)),
        ),
        kinds={"Number": "integer"},
    )
    row = Interpreter(spec).row(b'{"Number": "many", "Text": "few"}')
    assert [(note.path, note.reason) for note in row.notes] == [
        ("Number", "is no integer"),
        ("Text", "cannot be converted to int64"),
    ]
    assert row.extra == {"Number": "many", "Text": "few"}
    assert row.values == {}


def test_a_row_tells_which_rule_filled_each_column() -> None:
    first, second = Rule(path="A"), Rule(path="B")
    spec = Spec(name="rules", columns=(Column("C", "string", (first, second)),))
    assert Interpreter(spec).row(b'{"B": "b"}').rules == {"C": second}
    assert Interpreter(spec).row(b'{"A": "a", "B": "b"}').rules == {"C": first}
