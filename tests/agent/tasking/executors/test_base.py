from __future__ import annotations

import time

from deodar.agent.errors import AgentError
from deodar.agent.tasking.executors.base import TaskFailed, now_us


def test_a_failed_task_is_an_error_of_the_agent_for_people():
    assert isinstance(TaskFailed("no such file"), AgentError)
    assert abs(now_us() / 1e6 - time.time()) < 5
