from __future__ import annotations

from dataclasses import dataclass

import pytest
from pydantic import ValidationError

from deodar.edr.api.models import Asked, Told


def test_unknown_names_are_refused_in_what_is_asked():
    class One(Asked):
        name: str = ""

    with pytest.raises(ValidationError, match="other"):
        One.model_validate({"other": 1})


def test_what_is_told_is_read_from_attributes_and_holds_no_more():
    @dataclass
    class Row:
        name: str
        secret: str

    class One(Told):
        name: str

    assert One.model_validate(Row("a", "hidden")).model_dump() == {"name": "a"}


def test_a_value_of_another_type_is_refused_rather_than_read_as_what_is_wanted():
    class One(Asked):
        flag: bool = False
        count: int = 0

    for wrong in ({"flag": 0}, {"flag": "yes"}, {"count": "1"}, {"count": True}, {"count": 1.0}):
        with pytest.raises(ValidationError):
            One.model_validate(wrong)
