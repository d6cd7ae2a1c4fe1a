from __future__ import annotations

import pytest
from hypothesis import given, settings
from tests.siem.pipeline.filters.test_columnar import TABLES, expression

from deodar.siem.pipeline.filters.interpreter import predicate
from deodar.siem.pipeline.filters.parser import parse
from deodar.siem.pipeline.filters.text import code


@pytest.mark.parametrize(
    "text",
    [
        "Name = 'it\\'s' AND NOT Message contains ['a', 'b'] ignoreCase",
        "(Name != 'a' OR Name != Message) AND DestinationPort >= 1024",
        r"Name match '^c:\\\\'",
        "SourceLatitude < 1.5",
    ],
)
def test_code_is_written_as_it_was_read(text):
    assert code(parse(text)) == text


@settings(deadline=None)
@given(expression)
def test_code_reads_back_to_what_means_the_same(tree):
    read = parse(code(tree))
    assert parse(code(read)) == read
    passes, same = predicate(tree, TABLES), predicate(read, TABLES)
    for one in ({}, {"Name": "a", "Extra": {"k": "3"}}, {"SourceAddress": "10.0.0.1"}):
        assert passes(one) == same(one)
