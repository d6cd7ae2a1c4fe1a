from __future__ import annotations

from deodar.agent.sensors.loader import Loaded
from deodar.agent.sensors.parts import PARTS
from deodar.agent.sensors.parts.base import Part


def test_a_plain_part_has_nothing_to_prepare_or_to_collect() -> None:
    part = Part(
        name="x",
        covers="y",
        kinds={1: "z"},
        decode=lambda *_: None,
        ring_bytes=4096,  # type: ignore[arg-type]
    )
    loaded = Loaded({}, {})
    part.prepare(loaded)
    assert part.needed()
    assert part.sizes() == {}
    assert part.collect(loaded, 0) == []


def test_no_two_parts_share_a_name_or_a_number() -> None:
    assert len({part.name for part in PARTS}) == len(PARTS)
    numbers = [kind for part in PARTS for kind in part.kinds]
    assert len(numbers) == len(set(numbers))
    assert max(numbers) < 64  # MOST_RECORD_KINDS of bpf/head.h
