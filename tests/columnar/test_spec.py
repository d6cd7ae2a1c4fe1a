from __future__ import annotations

from typing import Any

import pytest

from deodar.columnar.errors import SpecError
from deodar.columnar.spec import OTHER, Column, Rule, Spec, check, head
from deodar.columnar.steps import Lower


def spec(*columns: Column, **rest: Any) -> Spec:
    types = {"process": ("A",), "file": ()}
    return Spec(name="s", columns=columns, types=types, aliases={"proc": "process"}, **rest)


A = Column("X", "string", (Rule(path="A"),))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (spec(A, A), "X is defined twice"),
        (spec(Column("Extra", "string", (Rule(path="A"),))), "reserved"),
        (spec(Column("X", "string", (Rule(),))), "either a path or a constant"),
        (spec(Column("X", "string", (Rule(path="A", constant="a"),))), "either a path or"),
        (spec(Column("X", "string", (Rule(path="A..B"),))), "'A..B' has an empty part"),
        (spec(Column("X", "string", (Rule(path="A", when=("proc",)),))), "unknown event type proc"),
        (spec(Column("X", "string", (Rule(path="A", label="l"),))), "no column to put it into"),
        (spec(Column("X", "int64", (Rule(constant="5"),))), "'5' is no constant"),
        (spec(Column("X", "string", (Rule(constant="a", steps=(Lower(),)),))), "takes no steps"),
        (spec(Column("X", "string", (Rule(constant="ab"),), max_length=1)), "longer than 1"),
        (Spec(name="s", columns=(A,), aliases={"a": "b"}), "unknown event type b"),
    ],
)
def test_a_contradiction_is_named(wrong: Spec, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check(wrong)


def test_a_good_spec_passes() -> None:
    check(spec(A, Column("Y", "int64", (Rule(constant=5, when=("file",)), Rule(path="B.0.C")))))


def test_unknown_types_and_aliases() -> None:
    one = spec(Column("X", "string", (Rule(path="A", when=("process",)), Rule(path="B"))))
    assert [one.known(name) for name in ("process", "proc", "Process", "")] == [
        "process",
        "process",
        OTHER,
        OTHER,
    ]
    assert one.reads("process") == {"A", "B"}
    assert one.reads(OTHER) == {"B"}
    assert one.safe("process") == {"A"}
    assert one.safe("file") == {"B"}


def test_only_flat_paths_are_read_as_a_whole() -> None:
    one = spec(
        Column("X", "string", (Rule(path="A"),)),
        Column("Y", "string", (Rule(path="Ioa.Rules.0.Name"),)),
        Column("Z", "strings", (Rule(path="Tags"),)),
        kinds={"Tags": "strings"},
    )
    assert one.whole("file") == {"A", "EventType"}
    assert head("Ioa.Rules.0.Name") == "Ioa"
