from __future__ import annotations

import struct

import pytest

from deodar.agent.sensors.errors import MalformedRecord
from deodar.agent.sensors.loader import read_blob
from deodar.agent.sensors.parts import PARTS, calls_net, calls_reach
from deodar.agent.sensors.parts.calls import CALLS, KINDS, decode


def test_it_is_in_use_and_has_a_blob() -> None:
    assert CALLS in PARTS
    assert read_blob("calls").manifest["name"] == "calls"


def test_each_number_is_read_by_one_module() -> None:
    assert not calls_reach.KINDS.keys() & calls_net.KINDS.keys()
    for module in (calls_reach, calls_net):
        assert module.KINDS.keys() == module.DECODERS.keys()


@pytest.mark.parametrize("kind", [*KINDS, 0, 63, 65535])
@pytest.mark.parametrize("length", [0, 2, 24])
def test_garbage_is_refused(kind: int, length: int) -> None:
    data = struct.pack("<H", kind).ljust(length, b"\0")[:length]
    with pytest.raises(MalformedRecord):
        decode(data, 0, length, 0)
