from __future__ import annotations

from deodar.agent.sensors.parts.calls_net import KINDS


def test_its_numbers_are_its_own() -> None:
    assert all(40 <= kind < 56 for kind in KINDS)
