"""Carries files to the scanning process, one after another, and keeps what it finds.

A file waits in ``scans/`` in the server's folder under its request's number, and is deleted with
its result. What waits when the server stops is scanned after its next start. A find is an alert,
too.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from deodar.edr.alerts import NewAlert
from deodar.edr.errors import ControlDataError, RulesProblem
from deodar.edr.scanning.engine import Engine
from deodar.edr.scanning.rules import Rules
from deodar.edr.scanning.scans import DETECT, ERROR, NOT_DETECTED, TIMEOUT, Scans
from deodar.edr.upkeep import Chore
from deodar.kit.background import background
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from deodar.edr.alerts import Alerts, Importance
    from deodar.edr.database import Database
    from deodar.edr.scanning.scans import NewScan, Scan
    from deodar.edr.scanning.wire import Match, Reply
    from deodar.edr.settings import Scanning as Settings

FOLDER = "scans"
_AFTER_FAILURE = 5.0
_LEVELS: dict[str, Importance] = {"low": "low", "medium": "medium", "high": "high"}
_ORDER = ("low", "medium", "high")

log = logger("edr.scanning")


class Scanning:
    """All of it, for one running server. Used within one event loop."""

    def __init__(
        self, database: Database, folder: Path, alerts: Alerts, settings: Settings
    ) -> None:
        """`folder` is the server's."""
        self.settings = settings
        self.scans = Scans(database)
        self.rules = Rules(database)
        self.folder = folder / FOLDER
        self._database = database
        self._alerts = alerts
        self._engine = Engine()
        self._version = ""
        self._problem = ""
        self._stopping = False
        self._waiting: asyncio.Queue[int] = asyncio.Queue()
        # Its own threads: a scan takes long, and what agents ask must not wait for it.
        self._scanner = ThreadPoolExecutor(1, thread_name_prefix="scan")
        self.uploads = ThreadPoolExecutor(2, thread_name_prefix="upload")
        """For files that are taken in."""
        self.folder.mkdir(mode=0o700, exist_ok=True)

    @property
    def chores(self) -> list[Chore]:
        """What has to be done now and then."""
        return [Chore("old scans", 600.0, self._forget)]

    @property
    def starts(self) -> int:
        """How often the scanning process was started."""
        return self._engine.starts

    def room(self) -> int:
        """Return how many more bytes may wait to be scanned."""
        used = sum(map(_size, self.folder.iterdir()))
        return self.settings.waiting_bytes - used

    def submit(self, new: NewScan, file: Path) -> int:
        """Take a file that is already in the folder; returns the request's number.

        For a thread. Raises TooManyRequests. Call `begin` with the number then.
        """
        number = self.scans.add(new)
        file.rename(self._file(number))
        return number

    def begin(self, number: int) -> None:
        """Let a file be scanned when its turn comes."""
        self._waiting.put_nowait(number)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Scan what waits while this lasts."""
        for number in await asyncio.to_thread(self._left_over):
            self.begin(number)
        try:
            async with background(self._work(), "scans of files"):
                yield
        finally:
            self._stopping = True
            self._engine.close()
            self._scanner.shutdown()
            self.uploads.shutdown()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            number = await self._waiting.get()
            try:
                await loop.run_in_executor(self._scanner, self._scan, number)
            except ControlDataError as error:
                log.warning("scan_not_kept", number=number, reason=str(error))
                await asyncio.sleep(_AFTER_FAILURE)
                self.begin(number)

    def _scan(self, number: int) -> None:
        scan = self.scans.find(number)
        if scan is not None:
            self._refresh()
            problem = self._problem or ("" if self._version else "there are no YARA rules")
            if problem:
                self._keep(scan, ERROR, (), problem)
            else:
                reply = self._engine.scan(self._file(number), self.settings.time_limit)
                if self._stopping:
                    return  # it is scanned again after the next start
                self._settle(scan, reply)
        self._file(number).unlink(missing_ok=True)

    def _settle(self, scan: Scan, reply: Reply) -> None:
        if reply.timed_out:
            self._keep(scan, TIMEOUT, (), f"it took longer than {self.settings.time_limit:g} s")
        elif reply.error:
            self._keep(scan, ERROR, (), reply.error)
        else:
            self._keep(scan, DETECT if reply.matches else NOT_DETECTED, reply.matches, "")

    def _keep(self, scan: Scan, state: str, matches: tuple[Match, ...], reason: str) -> None:
        rules = msgspec.json.encode(matches).decode() if matches else ""
        with self._database.write() as connection:
            kept = self.scans.finish(connection, scan.number, state, rules, reason)
            if kept and matches:
                self._alerts.add(_alert(scan, matches), connection)
        log.info("scanned", system=scan.system, scan=scan.scan_id, state=state, reason=reason)

    def _refresh(self) -> None:
        """Use the rules as they are now."""
        version = self.rules.version()
        if version == self._version:
            return
        self._problem = ""
        if version:
            try:
                self._engine.use(self.rules.texts())
            except RulesProblem as error:
                self._problem = f"the YARA rules cannot be used: {error}"[:500]
                log.warning("rules_unusable", reason=str(error))
        self._version = version

    def _left_over(self) -> list[int]:
        """Return what was not scanned before, and delete files that nobody asks for."""
        unfinished = self.scans.unfinished()
        mine = {str(number) for number in unfinished}
        for path in self.folder.iterdir():
            if path.name not in mine:
                path.unlink(missing_ok=True)
        return [number for number in unfinished if self._file(number).exists()]

    def _forget(self) -> None:
        self.scans.forget()

    def _file(self, number: int) -> Path:
        return self.folder / str(number)


def _size(path: Path) -> int:
    """Return a file's size, 0 when it was scanned and deleted just now."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _alert(scan: Scan, matches: tuple[Match, ...]) -> NewAlert:
    told = [match.importance for match in matches if match.importance]
    highest = max(told, key=_ORDER.index, default="medium")
    return NewAlert(
        event_us=scan.created_us,
        importance=_LEVELS[highest],
        source="external",
        technology="yara",
        object_type="file",
        object={"fileName": scan.name, "fileSize": scan.size, "sha256": scan.sha256},
        detection={"rules": [{"set": m.set, "name": m.rule, "tags": m.tags} for m in matches]},
        details={
            "externalSystemId": scan.system,
            "sensorInstanceId": scan.instance,
            "scanId": scan.scan_id,
        },
    )
