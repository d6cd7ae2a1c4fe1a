from __future__ import annotations

import asyncio

from deodar.edr.pauses import MOST_CALLERS, PAUSE, Pauses


async def waited(pauses: Pauses, caller: object) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await pauses.before(caller)
    return loop.time() - began


async def test_only_who_was_refused_just_now_waits():
    pauses = Pauses()
    assert await waited(pauses, "one") < PAUSE
    pauses.note("one")
    assert await waited(pauses, "one") >= PAUSE
    assert await waited(pauses, "two") < PAUSE


async def test_what_is_remembered_is_bounded():
    pauses = Pauses()
    for number in range(MOST_CALLERS + 10):
        pauses.note(number)
    assert len(pauses) == MOST_CALLERS
    assert await waited(pauses, 0) < PAUSE


async def test_a_client_that_repeats_at_once_is_slowed_and_let_in_when_it_is_accepted(server):
    system = server.system()
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(4):
        assert (await system.get()).status_code == 401
    assert loop.time() - began >= 3 * PAUSE
    server.register.accept(system.id)
    assert (await system.get()).status_code == 200
