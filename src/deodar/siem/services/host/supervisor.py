"""Runs a collector as the core's orders say: starts it, gives it new settings, stops it.

New settings are tried in the running process: the collector ends in good order, its journal stays,
and it is opened again with the new ones. If it does not come to work with them, it goes on with
those before, and the core is told which version was refused and why. Without the core it goes on
with what it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any

from deodar.kit.errors import DeodarError
from deodar.kit.logging import logger
from deodar.siem.errors import CoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from deodar.siem.services.host.source import Source
    from deodar.siem.services.wire import Orders, SetSettings
    from deodar.siem.settings import CollectorSettings

    Work = Callable[
        [CollectorSettings, asyncio.Event, Callable[[], None]], Coroutine[Any, Any, None]
    ]
    """Works with settings until the event is set; calls the function once it is at work."""
    Fetch = Callable[[], Awaitable[SetSettings]]
    """Asks the core for settings; raises CoreUnavailable or NotAdmitted."""

_log = logger("siem.service")
_AGAIN_SECONDS = 5.0
_RETRY_SECONDS = 30.0


class Supervisor:
    """One service's process; used within one event loop."""

    def __init__(self, source: Source, work: Work, fetch: Fetch | None) -> None:
        """`fetch` is None for a service that has its settings by itself."""
        self._source = source
        self._work = work
        self._fetch = fetch
        self._changed = asyncio.Event()
        self._orders: Orders | None = None
        self.running = 0
        """The version at work, 0 for none."""
        self.refused, self.refused_reason = 0, ""
        self.reloads = 0
        self.at_work = False
        self._paused = self._told = False
        self._trying = 0
        self._fallback: CollectorSettings | None = None

    @property
    def disabled(self) -> bool:
        """Whether the core wants it to do nothing."""
        return self._orders is not None and self._orders.disabled

    @property
    def restarting(self) -> bool:
        """Whether the core wants the process to be started again."""
        return self._orders is not None and self._orders.restart

    def follow(self, orders: Orders) -> None:
        """Take the core's orders; `run` carries them out."""
        first, self._orders = self._orders is None, orders
        if first:  # what was ordered before the process began is done by its beginning
            self.reloads = orders.reloads
        if self._calls_for_change(orders):
            self._changed.set()

    def begin_again(self) -> None:
        """Have the collector opened again with the settings it has, say for a new certificate."""
        self._changed.set()

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None]) -> bool:
        """Work until `stop` is set or the core orders a restart; returns whether it did.

        `on_ready` is called once, when the collector is at work for the first time. Raises what
        the collector raises when it cannot work, unless it has settings to go back to.
        """
        settings = self._source.current()
        with _signals(stop):
            while not stop.is_set() and not self.restarting:
                self._changed.clear()
                wanted = await self._next(settings)
                if wanted is None or self.disabled:
                    settings = wanted
                    self._paused = self.disabled
                    await self._wait(stop, _AGAIN_SECONDS)
                    continue
                self._paused = False
                settings = await self._attempt(wanted, settings, stop, on_ready)
                _watch_signals(stop)
        return not stop.is_set()

    def _calls_for_change(self, orders: Orders) -> bool:
        return (
            orders.restart
            or orders.reloads != self.reloads
            or (orders.disabled and self.at_work)
            or (self._paused and not orders.disabled)
            or self._is_new(orders)
        )

    def _is_new(self, orders: Orders) -> bool:
        known = (self.running, self.refused, self._trying)
        return self._fetch is not None and orders.version not in known

    async def _next(self, present: CollectorSettings | None) -> CollectorSettings | None:
        """Return the settings to work with now: new ones if the core orders them."""
        orders = self._orders
        if orders is None:
            return present
        reload = orders.reloads != self.reloads
        version = present.set_version if present else 0
        known = self._fetch is None or orders.version in (version, self.refused)
        if not reload and known:
            return present
        try:
            sent = await self._fetch() if self._fetch else None
            taken = self._source.take(sent)
        except DeodarError as error:
            if isinstance(error, CoreUnavailable):
                _log.warning("settings cannot be fetched", reason=str(error))
                return present
            self.reloads = orders.reloads
            self._refuse(orders.version, str(error), present)
            return present
        self.reloads = orders.reloads
        return taken

    async def _attempt(
        self,
        wanted: CollectorSettings,
        present: CollectorSettings | None,
        stop: asyncio.Event,
        on_ready: Callable[[], None],
    ) -> CollectorSettings | None:
        """Work with settings; returns those to go on with after a change."""
        ready = asyncio.Event()

        def begun() -> None:
            ready.set()
            self._begun(wanted)
            if not self._told:
                self._told = True
                on_ready()

        self._trying = wanted.set_version
        try:
            await self._until_changed(wanted, stop, begun)
        except BaseExceptionGroup as group:
            error = _first(group)
            mine = present is wanted and self._fetch is None
            if ready.is_set() or mine or not isinstance(error, DeodarError):
                raise
            fallback = present if present is not wanted else None
            self._refuse(wanted.set_version, str(error), fallback)
            if fallback is not None:
                return fallback
            await self._wait(stop, _RETRY_SECONDS)
        finally:
            self.at_work = False
        return wanted

    async def _until_changed(
        self, settings: CollectorSettings, stop: asyncio.Event, begun: Callable[[], None]
    ) -> None:
        """Work until a change is called for; a stop by a signal is passed on."""
        ending = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            work = group.create_task(self._work(settings, ending, begun))
            watchers = [group.create_task(one.wait()) for one in (self._changed, stop)]
            await asyncio.wait({work, *watchers}, return_when=asyncio.FIRST_COMPLETED)
            if work.done() and not self._changed.is_set():
                stop.set()
            ending.set()
            for one in watchers:
                one.cancel()

    def _begun(self, settings: CollectorSettings) -> None:
        self.at_work = True
        self.running = settings.set_version
        if settings is not self._fallback:
            self.refused, self.refused_reason = 0, ""
        self._source.keep(settings)
        _log.info("at work", version=settings.set_version)

    def _refuse(self, version: int, reason: str, fallback: CollectorSettings | None) -> None:
        self.refused, self.refused_reason = version, reason[:4000]
        self._fallback = fallback
        _log.error("settings are refused", version=version, reason=reason)

    async def _wait(self, stop: asyncio.Event, seconds: float) -> None:
        self.running = 0
        watchers = [asyncio.create_task(one.wait()) for one in (self._changed, stop)]
        await asyncio.wait(watchers, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for one in watchers:
            one.cancel()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set `stop` also while no collector listens to them."""
    _watch_signals(stop)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().remove_signal_handler(number)


def _watch_signals(stop: asyncio.Event) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
