from __future__ import annotations

import gc

from deodar.agent import memory


def test_garbage_is_gone_and_the_rest_is_left_alone() -> None:
    memory.limit_arenas()
    try:
        memory.settle()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
