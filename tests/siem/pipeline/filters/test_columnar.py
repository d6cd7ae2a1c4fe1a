"""The columnar evaluation answers as the interpreter does, whatever the filter and the events."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deodar.siem.pipeline.filters.columnar import compiled
from deodar.siem.pipeline.filters.conditions import condition
from deodar.siem.pipeline.filters.expressions import And, Not, Or
from deodar.siem.pipeline.filters.interpreter import predicate
from deodar.siem.pipeline.filters.parser import parse
from deodar.siem.pipeline.filters.text import code
from deodar.siem.pipeline.frame import EventFrame, frame_of

TABLES = {"d": {"a": "1", "10.0.0.1": "2", "3": "3"}}
TEXTS = ["", "a", "A", "ab", "ba", "3", "3.5", "-1", "10.0.0.1", "fe80::1", "ı", "İ", "a,b", "x\ny"]
TEXT_FIELDS = ["Name", "SourceAddress", "Extra.k"]
INTEGERS = [-(2**63), -1, 0, 1, 3, 6, 2**63 - 1]
FLOATS = [-1.5, 0.0, 3.0, 3.5, 1e308]

texts = st.sampled_from(TEXTS)
event = st.fixed_dictionaries(
    {},
    optional={
        "Name": texts,
        "SourceAddress": texts,
        "Extra": st.dictionaries(st.sampled_from(["k", "l"]), texts, max_size=2),
        "DestinationPort": st.sampled_from(INTEGERS),
        "SourceLatitude": st.sampled_from(FLOATS),
        "GroupedBy": st.lists(texts, max_size=3),
    },
)


def some(values, **bounds):
    return st.lists(st.sampled_from(values), min_size=1, max_size=10, **bounds)


def made(fields, words, values, caseless=False):
    ignore = st.booleans() if caseless else st.just(False)
    return st.builds(
        lambda name, word, right, ignore: condition(name, word, right, ignore_case=ignore),
        st.sampled_from(fields),
        st.sampled_from(words),
        values,
        ignore,
    )


leaf = st.one_of(
    made(
        [*TEXT_FIELDS, "GroupedBy"],
        ["=", "!=", "contains", "startsWith", "endsWith", "intersect"],
        some(TEXTS),
        caseless=True,
    ),
    made(TEXT_FIELDS, ["<", "<=", ">", ">="], some([*TEXTS, 3, 3.5, -1])),
    made(["Name", "GroupedBy"], ["match"], some(["^a", "b$", "(a|b)+", "3.5", ""]), caseless=True),
    made(TEXT_FIELDS, ["inSubnet"], some(["10.0.0.0/8", "fe80::/10", "0.0.0.0/0"])),
    made([*TEXT_FIELDS, "DestinationPort"], ["inDictionary"], st.just(["d"])),
    made(["DestinationPort"], ["=", "!=", "<", "<=", ">", ">="], some(INTEGERS)),
    made(["SourceLatitude"], ["=", "!=", "<", "<=", ">", ">="], some(FLOATS)),
    made(["DestinationPort", "Name"], ["hasBit"], some([0, 1, 2, 63])),
    made(["Name"], ["=", "contains", "<"], st.sampled_from(TEXT_FIELDS)),
    made(["DestinationPort"], ["=", "!=", ">"], st.sampled_from(["SourceLatitude"])),
)
expression = st.recursive(
    leaf,
    lambda terms: st.one_of(
        terms.map(Not),
        st.lists(terms, min_size=2, max_size=3).map(lambda found: And(tuple(found))),
        st.lists(terms, min_size=2, max_size=3).map(lambda found: Or(tuple(found))),
    ),
    max_leaves=5,
)


@settings(deadline=None)
@given(expression, st.lists(event, min_size=1, max_size=8))
def test_both_ways_agree(tree, events):
    passes = predicate(tree, TABLES)
    expected = [passes(one) for one in events]
    assert compiled(tree, TABLES)(frame_of(events)).tolist() == expected, code(tree)


def test_a_batch_without_the_field_is_one_where_it_is_empty():
    frame = EventFrame(pa.RecordBatch.from_pydict({"Name": ["a", "b"]}), range(2))
    assert compiled(parse("Message = ''"), {})(frame).tolist() == [True, True]
    assert compiled(parse("Extra.k contains 'x'"), {})(frame).tolist() == [False, False]


def test_what_is_decided_is_not_evaluated_further():
    asked: list[str] = []

    class Seen(EventFrame):
        def read(self, ref):
            asked.append(ref.name)
            return super().read(ref)

    frame = Seen(pa.RecordBatch.from_pydict({"Name": ["a", "a"]}), np.arange(2))
    compiled(parse("Name = 'b' AND Message = 'x'"), {})(frame)
    compiled(parse("Name = 'a' OR Message = 'x'"), {})(frame)
    assert asked == ["Name", "Name"]


def test_a_dictionary_that_is_not_there_is_told():
    with pytest.raises(ValueError, match="there is no dictionary"):
        compiled(parse("Name inDictionary 'absent'"), TABLES)
