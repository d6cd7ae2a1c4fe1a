from __future__ import annotations

from deodar.siem.pipeline.filters.interpreter import pair_test, predicate, value_test
from deodar.siem.pipeline.filters.parser import parse


def test_terms_are_joined_as_the_words_say():
    passes = predicate(parse("Name = 'a' AND NOT (Message = 'b' OR DestinationPort = 1)"), {})
    assert passes({"Name": "a"})
    assert not passes({"Name": "b"})
    assert not passes({"Name": "a", "Message": "b"})
    assert not passes({"Name": "a", "DestinationPort": 1})


def test_single_conditions_can_be_asked():
    assert value_test(parse("Name contains 'b'"), {})("abc")
    assert pair_test(parse("Name = Message ignoreCase"))("A", "a")
