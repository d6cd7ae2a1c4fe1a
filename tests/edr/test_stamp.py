from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.edr.decoding import decode_lines
from deodar.edr.stamp import Stamp

OWN = ("ReceivedTimestamp", "AgentId", "Id")


def stamped(lines: list[bytes], agent: str = "me") -> list[str]:
    decoded = decode_lines(lines)
    assert decoded.dead == []
    raw, fields = Stamp("me/s#1", agent, 77).put(decoded, decoded.rows)
    assert raw.validate(full=True) is None
    assert fields.num_rows == len(raw)
    return raw.to_pylist()


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (b'"Id":"i"', '"Id":"i","ReceivedTimestamp":77,"AgentId":"me"'),
        (b'"Id":"i","AgentId":"me"', '"Id":"i","AgentId":"me","ReceivedTimestamp":77'),
        (b'"Id":"i","AgentId":"x","A":1', '"Id":"i","A":1,"ReceivedTimestamp":77,"AgentId":"me"'),
        (b'"ReceivedTimestamp":5,"Id":"i"', '"Id":"i","ReceivedTimestamp":77,"AgentId":"me"'),
    ],
)
def test_texts_are_completed_and_false_claims_go(event, expected):
    assert stamped([b'{"EventType":"e",%s}' % event]) == ['{"EventType":"e",' + expected + "}"]


@pytest.mark.parametrize(
    "claim",
    [
        rb'"AgentId":"evil","AgentId":"me"',
        rb'"Agent\u0049d":"evil"',
        rb'"AgentId" : "evil"',
        rb'"AgentId":{"AgentId":"evil"}',
        rb'"AgentId":null',
        rb'"AgentId":"a\"b"',
        rb'"ReceivedTimestamp":"5"',
        rb'"ReceivedTimestamp":1e3',
        rb'"Received\u0054imestamp":5',
    ],
)
def test_the_servers_fields_are_there_once_however_they_are_claimed(claim):
    for first in (b"", b'"Other":{"AgentId":"kept"},'):
        (text,) = stamped([b'{%s%s,"EventType":"e","Id":"i"}' % (first, claim)])
        pairs = json.loads(text, object_pairs_hook=list)
        names = [name for name, _ in pairs]
        assert [names.count(name) for name in OWN] == [1, 1, 1]
        assert json.loads(text)["AgentId"] == "me"
        assert json.loads(text)["ReceivedTimestamp"] == 77
        if first:
            assert json.loads(text)["Other"] == {"AgentId": "kept"}


TEXTS = st.sampled_from(("me", "x", ',"AgentId":"y"', '{,"ReceivedTimestamp":1,', "é\\", "\\u0041"))
VALUES = st.recursive(
    st.one_of(st.none(), st.integers(), TEXTS),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from((*OWN, "a")), inner, max_size=2)
    ),
    max_leaves=3,
)
EVENTS = st.dictionaries(st.sampled_from((*OWN, "A", "B", ',"AgentId"')), VALUES, max_size=6)


@given(st.lists(EVENTS, min_size=1, max_size=4), st.sampled_from(("me", "")), st.booleans())
def test_everything_else_stays_as_it_was(events, agent, compact):
    separators = (",", ":") if compact else (", ", ": ")
    events = [{"EventType": "e", **event} for event in events]
    lines = [json.dumps(event, separators=separators).encode() for event in events]
    for event, text in zip(events, stamped(lines, agent), strict=True):
        found = json.loads(text)
        assert found["ReceivedTimestamp"] == 77
        assert found["Id"] not in (None, "")
        assert found.get("AgentId") == (agent or event.get("AgentId"))
        rest = {name: value for name, value in event.items() if name not in OWN}
        assert {name: value for name, value in found.items() if name not in OWN} == rest
