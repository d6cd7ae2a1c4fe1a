from __future__ import annotations

from deodar.columnar.fields import Fields
from deodar.columnar.spec import Column, Rule, Spec

FIELDS = Fields(
    Spec(
        name="f",
        columns=(
            Column("X", "string", (Rule(path="Ioa.Severity"), Rule(path="Ioa"))),
            Column("Y", "string", (Rule(path="Text"),)),
        ),
        kinds={"Size": "integer", "Ratio": "float", "Tags": "strings"},
        types={"a": ("Time", "Size", "Text"), "b": ("Other",)},
    )
)


def test_all_fields_that_the_spec_names_come_in_their_usual_order() -> None:
    assert list(FIELDS.names)[:4] == ["Time", "Size", "Text", "Other"]
    assert set(FIELDS.names) == {*list(FIELDS.names)[:4], "Ioa", "Ratio", "Tags", "EventType"}


def test_a_field_that_is_walked_into_is_nested() -> None:
    assert [FIELDS.kind(name) for name in ("Ioa", "Tags", "Size", "Ratio", "Text", "New")] == [
        "nested",
        "nested",
        "integer",
        "float",
        "string",
        "string",
    ]


def test_kept_texts_have_the_kind_of_the_field_if_they_can() -> None:
    assert FIELDS.kept("Size", 12.0) == "12"
    assert FIELDS.kept("Size", "abc") == "abc"
    assert FIELDS.kept("Ratio", 1) == "1.0"
    assert FIELDS.kept("New", 12.0) == "12.0"
    assert FIELDS.kept("Ioa", {"a": "é"}) == '{"a":"é"}'
