"""What the core knows of its services now: reports as they come, conditions, logs.

Reports are taken in memory and written to the database together, every two seconds; a condition
that begins or ends, and a colour that changes, goes into the audit trail.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import bindparam, update

from deodar.kit.acting import Actor
from deodar.kit.background import background
from deodar.kit.logging import logger
from deodar.siem.errors import ControlDataError
from deodar.siem.services.conditions import History, Sample, judge
from deodar.siem.services.database import now_us, record
from deodar.siem.services.service import Alert, status
from deodar.siem.services.tables import services as table
from deodar.siem.services.wire import LogLine, Orders

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from deodar.siem.services.database import Database
    from deodar.siem.services.register import Register
    from deodar.siem.services.service import Service
    from deodar.siem.services.settings import AlertSettings, ServicesSettings
    from deodar.siem.services.wire import ServiceReport

WRITE_SECONDS = 2.0
KEPT_LINES = 2_000
CORE = Actor("core", "local")
_log = logger("siem.services")


class _Known:
    """What is in memory of one service."""

    def __init__(self, seconds: float) -> None:
        self.history = History(seconds)
        self.alerts: dict[str, Alert] = {}
        self.boot = ""
        self.lines: deque[LogLine] = deque(maxlen=KEPT_LINES)
        self.next_line = 1


class Watch:
    """Takes reports within one event loop; `run` keeps the database up to date."""

    def __init__(
        self,
        database: Database,
        register: Register,
        settings: ServicesSettings,
        alerts: AlertSettings,
    ) -> None:
        self._database = database
        self._register = register
        self._settings = settings
        self._alerts = alerts
        self._known: dict[str, _Known] = {}
        self._waiting: dict[str, dict[str, object]] = {}
        self._stories: list[tuple[str, str, str]] = []
        self._colours: dict[str, str] = {}

    def take(self, service: Service, report: ServiceReport, address: str) -> Orders:
        """Take a report and return what the service is to do."""
        known = self._known.setdefault(service.id, _Known(self._alerts.window_seconds))
        self._take_lines(known, report)
        known.history.add(Sample(time.monotonic(), report.boot, report.measures))
        self._judge(service, known)
        now = now_us()
        self._waiting[service.id] = {
            "key": service.id,
            "reported_us": now,
            "address": address[:64],
            "reported": msgspec.json.encode(msgspec.structs.replace(report, lines=())).decode(),
            "alerts": msgspec.json.encode(tuple(known.alerts.values())).decode(),
            "paired_us": service.paired_us or now,
        }
        return Orders(
            version=service.wanted_version,
            reloads=service.reloads,
            restart=service.restart_boot == report.boot,
            debug=service.debug,
            disabled=bool(service.disabled_us),
            log_from=known.next_line,
            seconds=self._settings.report_seconds,
        )

    def lines(self, service_id: str, most: int) -> Sequence[LogLine]:
        """Return the last lines of a service's log, the oldest first."""
        known = self._known.get(service_id)
        return list(known.lines)[-most:] if known else []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the database up to date while the block runs, and once more at its end."""
        try:
            async with background(self._run(), "reports of services"):
                yield
        finally:
            await self.write()

    async def write(self) -> None:
        """Write what has come since the last time; what cannot be written is kept for the next."""
        rows, self._waiting = self._waiting, {}
        stories, self._stories = self._stories, []
        try:
            await asyncio.to_thread(self._write, rows, stories)
        except ControlDataError as error:
            self._waiting = {**rows, **self._waiting}
            self._stories = (stories + self._stories)[-KEPT_LINES:]
            _log.error("reports of services cannot be written", reason=str(error))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.write()

    def _take_lines(self, known: _Known, report: ServiceReport) -> None:
        if report.boot != known.boot:
            known.boot, known.next_line = report.boot, 1
            if report.lines and report.lines[0].number > 1:
                return  # this core began anew: the answer asks for all that the service has
        for line in report.lines:
            if line.number >= known.next_line:
                known.lines.append(line)
                known.next_line = line.number + 1

    def _judge(self, service: Service, known: _Known) -> None:
        found = dict(judge(known.history, self._alerts))
        for name in known.alerts.keys() - found.keys():
            self._stories.append(("service alert over", service.name, name))
            del known.alerts[name]
        for name, reason in found.items():
            before = known.alerts.get(name)
            if before is None:
                self._stories.append(("service alert", service.name, f"{name}: {reason}"))
                _log.warning("service alert", service=service.name, alert=name, reason=reason)
            since = before.since_us if before else now_us()
            known.alerts[name] = Alert(name, since, reason)

    def _write(
        self, rows: dict[str, dict[str, object]], stories: Sequence[tuple[str, str, str]]
    ) -> None:
        if rows or stories:
            with self._database.write() as connection:
                if rows:
                    names = ("reported_us", "address", "reported", "alerts", "paired_us")
                    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
                    statement = update(table).where(table.c.id == bindparam("key"))
                    connection.execute(
                        statement.values(**values), [_bound(row) for row in rows.values()]
                    )
                for action, subject, details in stories:
                    record(connection, action, subject, details, CORE)
        self._note_colours()

    def _note_colours(self) -> None:
        """Put changes of colour into the audit trail."""
        now, changed = now_us(), []
        found = self._register.list()
        ids = {service.id for service in found}
        for gone in self._colours.keys() - ids:
            del self._colours[gone]
            self._known.pop(gone, None)
        for service in found:
            colour, reason = status(service, now, self._settings.silent_seconds)
            before = self._colours.get(service.id)
            self._colours[service.id] = colour
            if before not in (None, colour):
                changed.append((service.name, f"{before} -> {colour}: {reason}"))
        if changed:
            with self._database.write() as connection:
                for name, details in changed:
                    record(connection, "service status changed", name, details, CORE)


def _bound(row: dict[str, object]) -> dict[str, object]:
    return {name if name == "key" else f"new_{name}": value for name, value in row.items()}
