from __future__ import annotations

from deodar.kedrql import fields, parse


def test_fields_are_all_that_a_filter_looks_at() -> None:
    tree = parse("hostname=a AND (NOT Filesize>1 OR IOATag CONTAINS 'x' OR HostName=b)")
    assert fields(tree) == {"HostName", "FileSize", "Ioa.Rules.Name"}


def test_equal_filters_are_equal_and_can_be_keys() -> None:
    one, other = parse("HostName != 'a'"), parse('NOT hostname = "a"')
    assert {one: 1}[other] == 1
    assert one != parse("HostName != 'b'")
