"""A service's reports to its core, and the orders that come back.

The core may be down: then the service goes on, tells in its log when the core went and when it is
back, and the lines of the time between are sent then. A certificate that was reset is replaced by
the recovery secret; one that ends soon is renewed.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from deodar.kit import logging as logs
from deodar.kit.errors import DeodarError
from deodar.kit.logging import logger
from deodar.siem.errors import CoreUnavailable, NotAdmitted, ServiceDeleted
from deodar.siem.services.host.measures import measure
from deodar.siem.services.wire import ServiceReport
from deodar.tls.certificates import validity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from deodar.siem.collector.board import Report
    from deodar.siem.services.host.identity import Identity
    from deodar.siem.services.host.log_lines import LogLines
    from deodar.siem.services.host.supervisor import Supervisor
    from deodar.siem.services.wire import Host, Orders, SetSettings

FIRST_SECONDS = 0.5
_GONE = 410
_LONGEST_SECONDS = 60.0
_RENEW_EVERY = 3600.0
_Colour = Literal["green", "yellow"]
_log = logger("siem.service")


class Link:
    """Reports until cancelled."""

    def __init__(
        self,
        identity: Identity,
        host: Host,
        lines: LogLines,
        look: Callable[[], Awaitable[Report | None]],
        folder: Path,
        program: str,
        debug: bool,
    ) -> None:
        """`look` returns the collector's own report, None when it does not run.

        `program` and `debug` are what the log was set up with.
        """
        self._identity = identity
        self._host = host
        self._lines = lines
        self._look = look
        self._folder = folder
        self._program = program
        self._started_debug = self._debug = debug
        self._boot = str(uuid.uuid4())
        self._began = time.monotonic()
        self._log_from = 1
        self._away_since = 0.0
        self._looked_at_renewal = 0.0

    async def settings(self) -> SetSettings:
        """Ask the core for settings; raises CoreUnavailable, NotAdmitted."""
        return await self._identity.client.settings()

    async def run(self, supervisor: Supervisor) -> None:
        """Report, and hand the orders on; raises ServiceDeleted."""
        seconds = FIRST_SECONDS
        while True:
            await asyncio.sleep(seconds)
            try:
                orders = await self._report(supervisor)
            except (DeodarError, OSError) as error:
                self._away(str(error))
                await self._after(error, supervisor)
                seconds = min(max(2 * seconds, 1.0), _LONGEST_SECONDS / 4)
            else:
                self._back()
                self._follow(orders, supervisor)
                seconds = min(orders.seconds, _LONGEST_SECONDS)
                await self._renew_in_time(supervisor)

    async def _report(self, supervisor: Supervisor) -> Orders:
        report = await self._look() if supervisor.at_work else None
        colour, reason = _status(report, supervisor)
        lines = self._lines.since(self._log_from)
        told = ServiceReport(
            boot=self._boot,
            uptime=time.monotonic() - self._began,
            host=self._host,
            colour=colour,
            reason=reason[:4000],
            running=supervisor.running,
            refused=supervisor.refused,
            refused_reason=supervisor.refused_reason,
            reloads=supervisor.reloads,
            measures=await asyncio.to_thread(measure, report, self._folder, self._lines.errors),
            lines=lines,
        )
        return await self._identity.client.report(told)

    def _follow(self, orders: Orders, supervisor: Supervisor) -> None:
        self._log_from = orders.log_from
        debug = orders.debug or self._started_debug
        if debug != self._debug:
            self._debug = debug
            logs.configure(self._program, debug=debug)
            _log.info("debug", on=debug)
        supervisor.follow(orders)

    def _away(self, reason: str) -> None:
        if not self._away_since:
            self._away_since = time.monotonic()
            _log.warning("the core does not answer; work goes on without it", reason=reason)

    def _back(self) -> None:
        if self._away_since:
            seconds = round(time.monotonic() - self._away_since)
            self._away_since = 0.0
            _log.warning("the core is back", seconds_away=seconds)

    async def _after(self, error: Exception, supervisor: Supervisor) -> None:
        """Do what can be done about a refusal."""
        if not isinstance(error, NotAdmitted):
            return
        if error.status == _GONE:
            raise ServiceDeleted(f"{error}; uninstall it here: its folder is {self._folder}")
        try:
            if await self._identity.recover():
                _log.warning("another certificate was issued", after=str(error))
                supervisor.begin_again()
        except (DeodarError, OSError) as problem:
            _log.error("no other certificate", reason=str(problem))

    async def _renew_in_time(self, supervisor: Supervisor) -> None:
        """Renew the certificate in the last third of its time."""
        now = time.monotonic()
        if now - self._looked_at_renewal < _RENEW_EVERY and self._looked_at_renewal:
            return
        self._looked_at_renewal = now
        begin, end = validity(self._identity.certificate)
        if end - datetime.now(UTC) > (end - begin) / 3:
            return
        try:
            if await self._identity.renew():
                _log.info("the certificate was renewed")
                supervisor.begin_again()
        except CoreUnavailable as error:
            _log.warning("the certificate cannot be renewed", reason=str(error))


def _status(report: Report | None, supervisor: Supervisor) -> tuple[_Colour, str]:
    if report is not None:
        return "green" if report.status.colour == "green" else "yellow", report.status.reason
    if supervisor.disabled:
        return "yellow", "disabled"
    return "yellow", "the collector is not at work yet"
