"""That an older listener is known is tested with the whole sensor, in test_bpf.py."""

from __future__ import annotations

from deodar.agent.sensors.cpus import possible_cpus
from deodar.agent.sensors.parts import PARTS
from deodar.agent.sensors.parts.core import CORE


def test_the_core_comes_first() -> None:
    assert PARTS[0] is CORE


def test_its_scratch_has_a_record_for_every_processor() -> None:
    assert CORE.sizes() == {"scratch": possible_cpus()}
