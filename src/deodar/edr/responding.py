"""What a running server has beside the event log: orders, alerts, scans, reputation, their APIs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from deodar.edr.alerts import Alerts
from deodar.edr.entrance import Entrance
from deodar.edr.reputation import Reputation
from deodar.edr.reputation_api import ReputationApi
from deodar.edr.response_api import ResponseApi
from deodar.edr.scan_api import ScanApi
from deodar.edr.scanner_api import ScannerApi
from deodar.edr.scanning.service import Scanning
from deodar.edr.shelves import shelf_of
from deodar.edr.tasking import Tasking
from deodar.edr.tasking.agents import TaskingApi
from deodar.edr.upkeep import Chore, keeping_up

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from starlette.routing import Route

    from deodar.edr.admission import Admission
    from deodar.edr.agent_gate import AgentGate
    from deodar.edr.database import Database
    from deodar.edr.external_systems import Register
    from deodar.edr.installation import Installation
    from deodar.edr.live_settings import LiveSettings


class Responding:
    """All of it, for one running server. Used within one event loop."""

    def __init__(
        self,
        installation: Installation,
        database: Database,
        gate: AgentGate,
        register: Register,
        admission: Admission,
        settings: LiveSettings,
    ) -> None:
        folder, fixed = installation.directory.path, installation.settings
        shelf = shelf_of(installation, database)
        self.tasking = Tasking(database, folder, installation.server_id, fixed.tasking, shelf)
        self.alerts = Alerts(database)
        self.scanning = Scanning(database, folder, self.alerts, fixed.scanning)
        self.reputation = Reputation(database)
        entrance = Entrance(register, admission, settings)
        self._apis = (
            TaskingApi(gate, self.tasking),
            ReputationApi(gate, self.reputation),
            ResponseApi(entrance, database, self.tasking, settings),
            ScannerApi(entrance, self.alerts, ScanApi(self.scanning)),
        )

    @property
    def routes(self) -> list[Route]:
        """The routes for the server's application."""
        return [route for api in self._apis for route in api.routes]

    @contextlib.asynccontextmanager
    async def running(self, stop: asyncio.Event) -> AsyncIterator[None]:
        """Do what has to go on by itself while this lasts."""
        chores = [
            *self.tasking.chores,
            *self.scanning.chores,
            Chore("alerts above their bounds", 3600.0, self.alerts.rotate),
            Chore("expired reputation", 3600.0, self.reputation.forget),
        ]
        async with (
            self.tasking.waker.running(stop),
            self.scanning.running(),
            keeping_up(chores),
        ):
            yield
