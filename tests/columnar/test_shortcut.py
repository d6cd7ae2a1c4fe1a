"""The quick way finds what the slow way finds, or says that it is not sure."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.columnar.envelope import salvage_slowly
from deodar.columnar.shortcut import MOST_BROKEN, shortcut
from deodar.events.builders import EventBuilder

EVENTS = EventBuilder(3).ndjson(40).splitlines()


def envelope(events, space=b""):
    joined = (b"," + space).join(events)
    return b'{"events":[' + joined + b'],"continuationToken":"t"}'


def found(salvaged):
    events, dead = salvaged
    return events, [(one.index, one.raw) for one in dead]


@pytest.mark.parametrize("space", [b"", b" ", b"\n  "])
@pytest.mark.parametrize("places", [[5], [0], [39], [3, 4], [1, 20, 38]])
def test_events_round_broken_ones_are_taken(places, space):
    events = list(EVENTS)
    for place in places:
        events[place] = events[place].replace(b'"EventType"', b'"EventType', 1)
    quick = shortcut(envelope(events, space), "EventType")
    slow = salvage_slowly(envelope(events, space))
    assert quick is None or found(quick) == found(slow)
    if places in ([5], [3, 4], [1, 20, 38]):
        assert quick is not None


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_whatever_byte_is_damaged_it_is_the_same_or_not_sure(seed, count):
    chance = random.Random(seed)
    body = bytearray(envelope(EVENTS[:12]))
    for _ in range(count):
        at = chance.randrange(len(body))
        body[at] = chance.choice(b'{}[]",:\\x0\x00\xff')
    quick = shortcut(bytes(body), "EventType")
    if quick is None:
        return
    events, dead = quick
    slow_events, _ = salvage_slowly(bytes(body))
    assert {one for one in events if one in EVENTS} == {one for one in slow_events if one in EVENTS}
    assert all(piece in body for piece in (*events, *(one.raw for one in dead)))
    assert sum(map(len, events)) + sum(len(one.raw) for one in dead) >= len(body) - 60


def test_where_too_much_is_broken_it_is_not_sure():
    events = [event.replace(b'"EventType"', b'"EventType', 1) for event in EVENTS]
    mixed = [one for pair in zip(events, EVENTS, strict=True) for one in pair]
    assert len(mixed) > 2 * MOST_BROKEN
    assert shortcut(envelope(mixed), "EventType") is None


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b'{"events":', b'{"events":[1,2'])
def test_what_is_no_envelope_is_left_to_the_slow_way(body):
    assert shortcut(body, "EventType") is None


def test_a_whole_envelope_has_nothing_broken():
    events, dead = shortcut(envelope(EVENTS), "EventType")
    assert (events, dead) == (EVENTS, [])
    assert json.loads(events[0])["EventType"]
