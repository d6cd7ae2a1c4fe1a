from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.siem.connectors.framing import FRAMES, KATA, Group, divide, pack


@given(st.lists(st.builds(Group, st.text(), st.integers(0, 2**60), st.lists(st.binary()))))
def test_frames_come_back_with_their_origins(groups):
    events, broken = divide(FRAMES, pack(groups))
    expected = [(g.source, g.time_us, event) for g in groups for event in g.events]
    assert list(zip(events.sources, events.times_us, events, strict=True)) == expected
    assert not broken


def test_the_answer_of_the_events_api_is_divided_and_a_broken_one_saved():
    events, broken = divide(KATA, b'{"events":[{"a":1},{"b":2}],"continuationToken":"t"}')
    assert [bytes(event) for event in events] == [b'{"a":1}', b'{"b":2}']
    assert not broken
    body = b'{"events":[{"EventType":1},{"EventType" 2},{"EventType":3}],"continuationToken":"t"}'
    events, broken = divide(KATA, body)
    assert events == [b'{"EventType":1}', b'{"EventType":3}']
    assert [letter.raw for letter in broken] == [b'{"EventType" 2}']


def test_text_of_another_encoding_becomes_utf_8():
    cyrillic = "вход выполнен"
    body = pack([Group("10.0.0.1", 1, [cyrillic.encode("cp1251")])])
    events, _ = divide(FRAMES, body, "cp1251")
    assert list(events) == [cyrillic.encode()]
    events, _ = divide(FRAMES, pack([Group("x", 1, [b"a\x81\xff"])]), "ascii")
    assert list(events) == [rb"a\x81\xff"]
    kata = b'{"events":[{"a":"%s"}]}' % cyrillic.encode("koi8-r")
    assert bytes(divide(KATA, kata, "koi8-r")[0][0]).decode() == f'{{"a":"{cyrillic}"}}'


def test_what_is_no_frames_is_an_error():
    with pytest.raises(msgspec.MsgspecError):
        divide(FRAMES, b"\xc1nonsense")
