from __future__ import annotations

import pytest
from pydantic import ValidationError

from deodar.siem.services.api.models import Asked, Told


class Wish(Asked):
    number: int


class Row(Told):
    number: int


def test_what_is_sent_must_be_as_documented():
    assert Wish.model_validate({"number": 1}).number == 1
    for wrong in ({"number": "1"}, {"number": 1, "more": 1}, {}):
        with pytest.raises(ValidationError):
            Wish.model_validate(wrong)


def test_what_is_told_is_made_of_any_value_with_the_attributes():
    assert Row.model_validate(Wish(number=2)).number == 2
