"""The supervisor with a worker that only notes when it begins and ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

import msgspec
import pytest

from deodar.kit.errors import SettingsError
from deodar.siem.errors import CoreUnavailable
from deodar.siem.services.host import supervisor as module
from deodar.siem.services.host.supervisor import Supervisor
from deodar.siem.services.wire import Orders, SetSettings

ORDERS = Orders(1, 0, restart=False, debug=False, disabled=False, log_from=1, seconds=1.0)


class Settings(msgspec.Struct, frozen=True):
    set_version: int


class World:
    """A source, a core and a worker; `story` is what the worker did."""

    def __init__(self, start: int | None) -> None:
        self.kept = Settings(start) if start is not None else None
        self.story: list[str] = []
        self.bad: set[int] = set()
        self.unreadable: set[int] = set()
        self.away = False
        self.wanted = start or 0
        self.changed = asyncio.Event()

    def current(self):
        return self.kept

    def take(self, sent: SetSettings | None):
        if sent is not None and sent.version in self.unreadable:
            raise SettingsError(f"version {sent.version} is unreadable")
        return Settings(sent.version if sent else 0)

    def keep(self, settings) -> None:
        self.kept = settings

    async def fetch(self) -> SetSettings:
        if self.away:
            raise CoreUnavailable("away")
        return SetSettings(self.wanted, "", "", {})

    async def work(self, settings, ending: asyncio.Event, begun) -> None:
        if settings.set_version in self.bad:
            raise SettingsError(f"version {settings.set_version} is bad")
        self.note(f"+{settings.set_version}")
        begun()
        await ending.wait()
        self.note(f"-{settings.set_version}")

    def note(self, text: str) -> None:
        self.story.append(text)
        self.changed.set()
        self.changed = asyncio.Event()

    async def until(self, *story: str) -> None:
        async with asyncio.timeout(10):
            while self.story != list(story):
                await self.changed.wait()


def order(world: World, **changes) -> Orders:
    orders = msgspec.structs.replace(ORDERS, **changes)
    world.wanted = orders.version
    return orders


@contextlib.asynccontextmanager
async def running(world: World, *, from_core: bool = True) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(world, world.work, world.fetch if from_core else None)
    stop = asyncio.Event()
    task = asyncio.create_task(supervisor.run(stop, lambda: world.story.append("ready")))
    try:
        yield supervisor
        stop.set()
        async with asyncio.timeout(10):
            assert not await task
    finally:
        task.cancel()


async def test_it_works_with_what_it_has_before_the_core_says_anything():
    world = World(3)
    async with running(world):
        await world.until("+3", "ready")
    assert world.story == ["+3", "ready", "-3"]


async def test_new_settings_are_taken_in_the_running_process():
    world = World(1)
    async with running(world) as supervisor:
        await world.until("+1", "ready")
        supervisor.follow(order(world, version=1))
        supervisor.follow(order(world, version=2))
        await world.until("+1", "ready", "-1", "+2")
        assert (supervisor.running, world.kept.set_version) == (2, 2)


async def test_a_service_that_never_ran_waits_for_its_settings():
    world = World(None)
    async with running(world) as supervisor:
        supervisor.follow(order(world, version=4))
        await world.until("+4", "ready")


@pytest.mark.parametrize("fault", ["bad", "unreadable"])
async def test_a_wrong_version_is_refused_and_the_old_one_goes_on(fault):
    world = World(1)
    getattr(world, fault).add(2)
    async with running(world) as supervisor:
        await world.until("+1", "ready")
        supervisor.follow(order(world, version=2))
        await world.until("+1", "ready", "-1", "+1")
        assert (supervisor.running, supervisor.refused) == (1, 2)
        assert f"version 2 is {fault}" in supervisor.refused_reason
        assert world.kept.set_version == 1
        supervisor.follow(order(world, version=2))  # it is not tried again and again
        supervisor.follow(order(world, version=3))
        await world.until("+1", "ready", "-1", "+1", "-1", "+3")
        assert (supervisor.refused, supervisor.refused_reason) == (0, "")


async def test_a_refused_version_is_tried_again_by_a_new_order():
    world = World(1)
    world.bad.add(2)
    async with running(world) as supervisor:
        await world.until("+1", "ready")
        supervisor.follow(order(world, version=2, reloads=1))
        await world.until("+1", "ready", "-1", "+1")
        world.bad.clear()
        supervisor.follow(order(world, version=2, reloads=2))
        await world.until("+1", "ready", "-1", "+1", "-1", "+2")
        assert supervisor.refused == 0


async def test_a_first_version_that_is_bad_is_told_and_waits_for_a_better_one(monkeypatch):
    world = World(None)
    world.bad.add(1)
    async with running(world) as supervisor:
        supervisor.follow(order(world, version=1))
        async with asyncio.timeout(10):
            while not supervisor.refused:  # noqa: ASYNC110 - it has no event for that
                await asyncio.sleep(0.01)
        supervisor.follow(order(world, version=2))
        await world.until("+2", "ready")


async def test_it_comes_back_by_itself_when_what_hindered_it_is_gone(monkeypatch):
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.05)
    world = World(1)
    world.bad.add(1)
    async with running(world):
        await asyncio.sleep(0)
        world.bad.clear()
        await world.until("+1", "ready")


async def test_without_the_core_it_goes_on():
    world = World(1)
    async with running(world) as supervisor:
        await world.until("+1", "ready")
        world.away = True
        supervisor.follow(order(world, version=2))
        await world.until("+1", "ready", "-1", "+1")
        world.away = False
        supervisor.follow(order(world, version=2))
        await world.until("+1", "ready", "-1", "+1", "-1", "+2")


async def test_a_disabled_one_stops_and_goes_on_later():
    world = World(1)
    async with running(world) as supervisor:
        await world.until("+1", "ready")
        supervisor.follow(order(world, disabled=True))
        await world.until("+1", "ready", "-1")
        async with asyncio.timeout(10):
            while supervisor.running:  # noqa: ASYNC110 - it has no event for that
                await asyncio.sleep(0.01)
        supervisor.follow(order(world, disabled=False))
        await world.until("+1", "ready", "-1", "+1")


async def test_a_reload_of_the_same_version_opens_it_again():
    world = World(1)
    async with running(world) as supervisor:
        await world.until("+1", "ready")
        supervisor.follow(order(world, reloads=5))  # ordered before it began: done
        supervisor.follow(order(world, reloads=6))
        await world.until("+1", "ready", "-1", "+1")
        assert supervisor.reloads == 6


async def test_another_certificate_opens_it_again():
    world = World(1)
    async with running(world) as supervisor:
        await world.until("+1", "ready")
        supervisor.begin_again()
        await world.until("+1", "ready", "-1", "+1")


async def test_an_order_to_restart_ends_it_with_that():
    world = World(1)
    supervisor = Supervisor(world, world.work, world.fetch)
    task = asyncio.create_task(supervisor.run(asyncio.Event(), lambda: None))
    await world.until("+1")
    supervisor.follow(order(world, restart=True))
    async with asyncio.timeout(10):
        assert await task
    assert world.story == ["+1", "-1"]


async def test_an_own_file_that_is_bad_at_the_start_is_an_error_as_ever():
    world = World(0)
    world.bad.add(0)
    supervisor = Supervisor(world, world.work, None)
    with pytest.raises(BaseExceptionGroup) as caught:
        await supervisor.run(asyncio.Event(), lambda: None)
    assert isinstance(caught.value.exceptions[0], SettingsError)


async def test_what_fails_at_work_comes_out():
    world = World(1)

    async def work(_settings, _ending, begun) -> None:
        begun()
        raise SettingsError("in the middle")

    supervisor = Supervisor(world, work, world.fetch)
    with pytest.raises(BaseExceptionGroup) as caught:
        await supervisor.run(asyncio.Event(), lambda: None)
    assert "in the middle" in str(caught.value.exceptions[0])


async def test_a_signal_ends_it_also_while_it_waits():
    world = World(None)
    supervisor = Supervisor(world, world.work, world.fetch)
    task = asyncio.create_task(supervisor.run(asyncio.Event(), lambda: None))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(10):
        assert not await task
