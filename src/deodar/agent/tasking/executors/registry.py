"""The kinds of tasks that this version of the agent carries out, and by what.

A kind that is missing here is answered as not supported; so is every desired state as yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.tasking.executors import get_file, run_process

if TYPE_CHECKING:
    from deodar.agent.tasking.executors.base import Executor

EXECUTORS: dict[str, Executor] = {
    "get_file": get_file.execute,
    "run_process": run_process.execute,
}
