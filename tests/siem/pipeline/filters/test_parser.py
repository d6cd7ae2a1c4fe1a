from __future__ import annotations

import pytest

from deodar.siem.pipeline.errors import FilterError
from deodar.siem.pipeline.filters.conditions import condition
from deodar.siem.pipeline.filters.expressions import And, Not, Or
from deodar.siem.pipeline.filters.parser import MAX_CONDITIONS, MAX_DEPTH, parse

A, B, C = (condition("Name", "=", [letter]) for letter in "abc")


def test_examples_of_kuma_are_read():
    text = "DeviceEventClassID = ['4624','4768'] AND NOT DestinationUserName endsWith '$'"
    assert parse(text) == And(
        (
            condition("DeviceEventClassID", "=", ["4624", "4768"]),
            Not(condition("DestinationUserName", "endsWith", ["$"])),
        )
    )
    text = (
        "DeviceVendor='Microsoft' AND (DeviceEventClassID = [1, 4688]) "
        r"AND NOT (DestinationProcessName startsWith 'c:\\windows')"
    )
    assert parse(text) == And(
        (
            condition("DeviceVendor", "=", ["Microsoft"]),
            condition("DeviceEventClassID", "=", ["1", "4688"]),
            Not(condition("DestinationProcessName", "startsWith", ["c:\\windows"])),
        )
    )


def test_not_binds_tighter_than_and_and_and_than_or():
    assert parse("Name='a' OR NOT Name='b' AND Name='c'") == Or((A, And((Not(B), C))))
    assert parse("(Name='a' or not Name='b') and Name='c'") == And((Or((A, Not(B))), C))
    assert parse("NOT NOT Name = 'a'") == A


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("'it\\'s'", "it's"),
        ('"it\'s"', "it's"),
        (r"'c:\windows'", r"c:\windows"),
        (r"'c:\\windows'", r"c:\windows"),
        (r"'\d+\.\d'", r"\d+\.\d"),
        ("'AND'", "AND"),
        ("4688", "4688"),
        ("'наблюдение'", "наблюдение"),
    ],
)
def test_texts_and_their_escapes(written, value):
    assert parse(f"Name = {written}") == condition("Name", "=", [value])


def test_case_is_ignored_on_demand_and_lists_may_end_in_a_comma():
    found = parse("Name CONTAINS ['a', 'b',] IGNORECASE")
    assert found == condition("Name", "contains", ["a", "b"], ignore_case=True)


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("", 1, "the filter is empty; expected a field, NOT or"),
        ("Nam = 'a'", 1, "did you mean Name"),
        ("Name = 'a' AND DestinationPort = ['1', 'x']", 40, "'x' is no integer"),
        ("Name is 'a'", 6, "'is' is no operator"),
        ("Name = root", 8, "written in quotes: 'root'"),
        ("Name = 'a", 8, "has no closing '"),
        ("(Name = 'a'", 12, r"the filter ends here; expected AND, OR or \)"),
        ("Name = 'a')", 11, "did not expect"),
        ("Name = 'a' && Name = 'b'", 12, r"write AND"),
        ("$hour > 3", 1, "belong to correlation rules"),
        ("Name = []", 6, "met by no event"),
        ("Name = 'a' Name = 'b'", 12, "expected AND, OR or the end of the filter"),
        ("Name = '\0'", 9, r"U\+0000 cannot be part"),
    ],
)
def test_an_error_tells_the_place_and_what_to_do(text, column, reason):
    with pytest.raises(FilterError, match=reason) as caught:
        parse(text)
    assert (caught.value.line, caught.value.column) == (1, column)


def test_the_line_of_an_error_is_told():
    with pytest.raises(FilterError, match="line 2, column 5") as caught:
        parse("Name = 'a'\nAND Nam = 'b'")
    assert str(caught.value).endswith("  AND Nam = 'b'\n      ^")


def test_size_depth_and_number_of_conditions_are_bounded():
    deep = "(" * MAX_DEPTH + "Name = 'a'" + ")" * MAX_DEPTH
    assert parse(deep) == A
    assert parse("NOT " * 1000 + "Name = 'a'") == A
    many = " OR ".join(["Name = 'a'"] * MAX_CONDITIONS)
    assert len(parse(many).terms) == MAX_CONDITIONS
    for text, reason in (
        (f"({deep})", "more than 64 parentheses"),
        (f"{many} OR Name = 'a'", "more than 500 conditions"),
        (f"Name = '{'a' * 70_000}'", "longer than 65536 bytes"),
    ):
        with pytest.raises(FilterError, match=reason):
            parse(text)
