from __future__ import annotations

import asyncio
import os

from deodar.kit.acting import Actor, acting, actor


def test_without_anybody_set_it_is_who_runs_the_process():
    assert actor() == Actor(f"uid {os.getuid()}", "local")


async def test_who_is_set_goes_along_into_threads_and_ends_with_the_work():
    with acting(Actor("operator", "192.0.2.1")):
        assert await asyncio.to_thread(actor) == Actor("operator", "192.0.2.1")
        with acting(Actor("second", "192.0.2.2")):
            assert actor().name == "second"
        assert actor().name == "operator"
    assert actor().name.startswith("uid ")
