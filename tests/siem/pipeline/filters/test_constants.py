from __future__ import annotations

import pytest

from deodar.siem.pipeline.filters.constants import bit, checked_pattern, ordered, subnet, typed


def test_constants_get_the_type_of_the_field_but_numbers_stay_numbers_for_an_order():
    assert (typed(22, "string"), typed("22", "integer"), typed("1.5", "float")) == ("22", 22, 1.5)
    assert (ordered(22, "string"), ordered("22", "string"), ordered("22", "integer")) == (
        22,
        "22",
        22,
    )


def test_subnets_are_written_in_one_way():
    assert subnet("10.1.2.3/8", "string") == "10.0.0.0/8"
    assert subnet("10.1.2.3", "string") == "10.1.2.3/32"


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: typed("x", "float"), "'x' is no float"),
        (lambda: typed(1.5, "integer"), "1.5 is no integer"),
        (lambda: subnet("10.0.0.0/33", "string"), "is no subnet, such as"),
        (lambda: bit(-1, "integer"), "0 to 63"),
        (lambda: checked_pattern("a{1001}"), "no regular expression of RE2"),
        (lambda: checked_pattern("(?=a)"), "no regular expression of RE2"),
    ],
)
def test_what_is_no_such_constant_is_told(call, reason):
    with pytest.raises(ValueError, match=reason):
        call()
