"""What each operator means, value by value."""

from __future__ import annotations

import time

import pytest

from deodar.siem.pipeline.errors import FilterError
from deodar.siem.pipeline.filters.interpreter import predicate
from deodar.siem.pipeline.filters.operators import OPERATORS, address, operator
from deodar.siem.pipeline.filters.parser import parse

TABLES = {"users": {"root": "1", "22": "ssh"}}


def meets(text: str, **event) -> bool:
    return predicate(parse(text), TABLES)(event)


@pytest.mark.parametrize(
    ("text", "event", "expected"),
    [
        ("Name = 'a'", {"Name": "a"}, True),
        ("Name = 'a'", {"Name": "A"}, False),
        ("Name = 'a' ignoreCase", {"Name": "A"}, True),
        ("Name = ['a', 'b']", {"Name": "b"}, True),
        ("Name != ['a', 'b']", {"Name": "b"}, False),
        ("Name = ''", {}, True),
        ("DeviceEventClassID = 4688", {"DeviceEventClassID": "4688"}, True),
        ("DestinationPort = '22'", {"DestinationPort": 22}, True),
        ("DestinationPort = 0", {}, True),
        ("SourceLatitude = 1.5", {"SourceLatitude": 1.5}, True),
        ("DestinationPort > 21", {"DestinationPort": 22}, True),
        ("DestinationPort <= [1, 22]", {"DestinationPort": 22}, True),
        ("DestinationPort > 22.5", {"DestinationPort": 22}, None),
        ("Name < 'b'", {"Name": "a"}, True),
        ("Extra.Depth >= 10", {"Extra": {"Depth": "9"}}, False),
        ("Extra.Depth >= 10", {"Extra": {"Depth": "11"}}, True),
        ("Extra.Depth >= 10", {"Extra": {"Depth": "11.5"}}, True),
        ("Extra.Depth >= 10", {"Extra": {"Depth": "deep"}}, False),
        ("Extra.Depth >= 10", {}, False),
        ("Name contains ['x', 'b']", {"Name": "abc"}, True),
        ("Name contains 'B' ignoreCase", {"Name": "abc"}, True),
        ("Name startsWith 'a'", {"Name": "abc"}, True),
        ("Name endsWith 'c'", {"Name": "abc"}, True),
        ("Name endsWith 'a'", {"Name": "abc"}, False),
        ("Name match 'b+c$'", {"Name": "abbc"}, True),
        ("Name match '^b'", {"Name": "abbc"}, False),
        ("Name match 'ABC' ignoreCase", {"Name": "abc"}, True),
        ("SourceAddress inSubnet '10.0.0.0/8'", {"SourceAddress": "10.1.2.3"}, True),
        ("SourceAddress inSubnet '10.1.2.3'", {"SourceAddress": "10.1.2.3"}, True),
        ("SourceAddress inSubnet '10.0.0.0/8'", {"SourceAddress": "::ffff:10.1.2.3"}, True),
        ("SourceAddress inSubnet ['fe80::/10', '1.0.0.0/8']", {"SourceAddress": "fe80::1"}, True),
        ("SourceAddress inSubnet '10.0.0.0/8'", {"SourceAddress": "host"}, False),
        ("SourceAddress inSubnet '10.0.0.0/8'", {}, False),
        ("SourceUserName inDictionary 'users'", {"SourceUserName": "root"}, True),
        ("SourceUserName inDictionary 'users'", {"SourceUserName": "anna"}, False),
        ("DestinationPort inDictionary 'users'", {"DestinationPort": 22}, True),
        ("DestinationPort hasBit 1", {"DestinationPort": 6}, True),
        ("DestinationPort hasBit [1, 2]", {"DestinationPort": 6}, True),
        ("DestinationPort hasBit [0, 1]", {"DestinationPort": 6}, False),
        ("Extra.Flags hasBit 0", {"Extra": {"Flags": "5"}}, True),
        ("Extra.Flags hasBit 0", {"Extra": {"Flags": "none"}}, False),
        ("GroupedBy intersect ['a', 'b']", {"GroupedBy": ["x", "b"]}, True),
        ("GroupedBy intersect ['a', 'b']", {"GroupedBy": []}, False),
        ("Extra.Tags intersect 'B' ignoreCase", {"Extra": {"Tags": "a, b"}}, True),
        ("GroupedBy = 'b'", {"GroupedBy": ["x", "b"]}, True),
        ("GroupedBy = ''", {}, True),
        ("SourceUserName = DestinationUserName", {"SourceUserName": "a"}, False),
        ("SourcePort < DestinationPort", {"DestinationPort": 1}, True),
        ("Name startsWith Message ignoreCase", {"Name": "AB", "Message": "a"}, True),
    ],
)
def test_an_operator_means(text, event, expected):
    if expected is None:
        with pytest.raises(FilterError, match="is no integer"):
            meets(text, **event)
    else:
        assert meets(text, **event) is expected


def test_a_regular_expression_takes_time_in_proportion_to_the_text():
    began = time.process_time()
    assert not meets("Message match '^(a|aa|a?a)+$'", Message="a" * 16_000 + "b")
    assert time.process_time() - began < 2.0  # one that goes back and forth would take centuries


def test_every_operator_is_found_in_any_case_of_letters():
    for name in OPERATORS:
        assert operator(name.upper()) == (name, False)
    assert operator("==") == ("=", False)
    assert operator("!=") == ("=", True)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("inActiveList", "only a correlator"), ("TIDetect", "reputation"), ("like", "there are =, <")],
)
def test_an_operator_that_a_collector_does_not_have_is_told_with_the_reason(name, reason):
    with pytest.raises(ValueError, match=reason):
        operator(name)


def test_a_dictionary_that_is_not_there_is_told():
    with pytest.raises(ValueError, match="no dictionary hosts with one key; there are: users"):
        meets("Name inDictionary 'hosts'")


def test_addresses_are_read_whatever_their_form():
    assert str(address("::ffff:1.2.3.4")) == "1.2.3.4"
    assert address("1.2.3") is None
