from __future__ import annotations

import os

from deodar.agent.sensors.cpus import possible_cpus


def test_possible_cpus_covers_this_machine() -> None:
    assert possible_cpus() >= (os.cpu_count() or 1)
