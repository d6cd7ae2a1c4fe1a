from __future__ import annotations

import msgspec
import pyarrow as pa
import pytest

from deodar.columnar.fields import Fields
from deodar.columnar.shape import Shape
from deodar.columnar.spec import Column, Rule, Spec

FIELDS = Fields(
    Spec(
        name="s",
        columns=(Column("X", "string", (Rule(path="Ioa.Name"),)),),
        kinds={"Size": "integer", "Ratio": "float"},
        types={"a": ("Text", "Ioa", "Size")},
    )
)


def test_flat_fields_come_first_and_learned_ones_last() -> None:
    shape = Shape(FIELDS, ("New",))
    assert shape.names[shape.flat :] == shape.tail == ("Ioa", "New")
    assert shape.nested == ("Ioa",)
    assert shape.absent == (None, None)
    assert shape.known == {"Text", "Size", "Ratio", "EventType", "Ioa", "New"}
    assert shape.arrow.field("Size").type == pa.int64()


@pytest.mark.parametrize(
    "raw",
    [b'{"Size":"1"}', b'{"Size":9223372036854775808}', b'{"Text":1}', b'{"Ratio":"1"}', b"[]"],
)
def test_values_of_another_kind_are_refused(raw: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        Shape(FIELDS).loose.decode(raw)


def test_only_the_strict_decoder_refuses_fields_without_a_place() -> None:
    raw = b'{"Text":"x","New":[1]}'
    with pytest.raises(msgspec.ValidationError):
        Shape(FIELDS).strict.decode(raw)
    assert "x" in msgspec.structs.astuple(Shape(FIELDS).loose.decode(raw))
    assert msgspec.structs.astuple(Shape(FIELDS, ("New",)).strict.decode(raw))[-1] == [1]
