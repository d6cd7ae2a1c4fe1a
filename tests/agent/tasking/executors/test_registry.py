from __future__ import annotations

from deodar.agent.tasking.executors.registry import EXECUTORS
from deodar.response.kinds import KINDS


def test_what_can_be_carried_out_is_declared():
    assert set(EXECUTORS) <= set(KINDS)
    assert set(EXECUTORS) == {"run_process", "get_file"}
