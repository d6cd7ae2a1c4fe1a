"""The task KATAEDR as it runs: the way to the EDR server, made of the settings as they are."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from deodar.agent import status as report_file
from deodar.agent.proxy import parse as parse_proxy
from deodar.agent.renewal import Renewal
from deodar.agent.tasking.driver import TaskingDriver
from deodar.agent.uplink import State
from deodar.agent.uplink_driver import ConnectionSettings, UplinkDriver
from deodar.kit.errors import DeodarError

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.certificates import Certificates
    from deodar.agent.loss import LossBook
    from deodar.agent.settings import AgentSettings
    from deodar.agent.spool import Spool
    from deodar.agent.tasks.store import SettingsStore
    from deodar.kit.directory import StateDirectory

STOP = 3.0
LAST_WORDS = 2.0
"""Seconds that a stop waits for the server to have heard of it."""
LOOK_EVERY = 0.02


class Integration:
    """Starts and stops the uplink, and lets it follow the settings."""

    def __init__(
        self,
        directory: StateDirectory,
        settings: AgentSettings,
        tasks: SettingsStore,
        certificates: Certificates,
        spool: Spool,
        losses: LossBook,
        *,
        report: Callable[[], dict[str, Any]],
        on_policy: Callable[[dict[str, Any] | None], None],
        notify: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._tasks = tasks
        self._certificates = certificates
        self._spool = spool
        self._losses = losses
        self._report = report
        self._on_policy = on_policy
        self._notify = notify
        self._renewal = Renewal(certificates)
        self._lock = threading.Lock()
        self.driver: UplinkDriver | None = None
        self.tasking: TaskingDriver | None = None
        told = report_file.read(directory)
        self._last_contact = told.uplink.last_contact if told else None
        self._last_sync = told.uplink.last_sync if told else None

    def start(self) -> None:
        """Begin to send and to synchronize."""
        driver = UplinkDriver(
            self._spool,
            self._losses,
            transfer=self._settings.transfer,
            identity=self._settings.agent_id,
            dead_folder=self._directory.path / "dead",
            report=self._report,
            on_policy=self._on_policy,
            notify=self._notify,
            renewal=self._renewal,
        )
        tasking = TaskingDriver(
            self._directory,
            index=lambda: driver.machine.index,
            notify=self._notify,
            allowed=self._settings.orders.allowed,
        )
        settings = self.connection()
        driver.configure(settings)
        tasking.configure(settings)
        with self._lock:
            self.driver, self.tasking = driver, tasking
        driver.start()
        tasking.start()

    def stop(self) -> None:
        """Send no more; a packet on its way is waited for."""
        with self._lock:
            driver, self.driver = self.driver, None
            tasking, self.tasking = self.tasking, None
        if tasking is not None:
            tasking.stop()
        if driver is not None:
            self._last_words(driver)
            driver.stop(STOP)
            self._last_contact = driver.counters.last_contact or self._last_contact
            self._last_sync = driver.last_sync or self._last_sync

    def _last_words(self, driver: UplinkDriver) -> None:
        """Give a server that answers the time to hear how the tasks are now."""
        if driver.machine.state is not State.CONNECTED:
            return
        heard = driver.counters.synchronizations
        driver.hurry()
        driver.sync_now()
        deadline, never = time.monotonic() + LAST_WORDS, threading.Event()
        while time.monotonic() < deadline:
            if driver.counters.synchronizations > heard and self._spool.state().packets == 0:
                return
            never.wait(LOOK_EVERY)

    def apply(self) -> None:
        """Follow the settings and certificates as they are now."""
        with self._lock:
            if self.driver is not None and self.tasking is not None:
                settings = self.connection()
                self.driver.configure(settings)
                self.tasking.configure(settings)

    def renew_certificate(self) -> None:
        """Renew the agent's own certificate now, whether it is due or not."""
        self._renewal.want()
        self.synchronize()

    @property
    def is_renewing(self) -> bool:
        """Whether the agent replaces its own certificate by itself just now."""
        return self._renewal.is_replacing

    def hurry(self) -> None:
        """Let no event wait for others any more."""
        driver = self.driver
        if driver is not None:
            driver.hurry()

    def synchronize(self) -> None:
        """Tell the server at once how the tasks are."""
        driver = self.driver
        if driver is not None:
            driver.sync_now()

    @property
    def failure(self) -> str:
        """Why the uplink has come to a halt by itself; "" while it works."""
        parts = (self.driver, self.tasking)
        return next((part.failure for part in parts if part is not None and part.failure), "")

    @property
    def server(self) -> str:
        """The server in use, host:port."""
        driver = self.driver
        if driver is not None:
            return driver.server
        first = self._tasks.kataedr.endpoints[0]
        return f"{first.address}:{first.port}"

    @property
    def last_contact(self) -> float | None:
        """When a server last answered, seconds since the epoch; over restarts of the agent."""
        driver = self.driver
        return (driver.counters.last_contact if driver else None) or self._last_contact

    @property
    def last_sync(self) -> float | None:
        """When the agent last synchronized, likewise."""
        driver = self.driver
        return (driver.last_sync if driver else None) or self._last_sync

    @property
    def is_connected(self) -> bool:
        """Whether the server took the last packet or greeting."""
        driver = self.driver
        return driver is not None and driver.machine.state is State.CONNECTED

    def connection(self) -> ConnectionSettings:
        """Return how to reach the server, by the settings and certificates as they are now."""
        task, application = self._tasks.kataedr, self._tasks.application
        context, proxy, problem = None, None, ""
        try:
            context = self._certificates.context(use_client=task.use_client_pinned_certificate)
            proxy = parse_proxy(application.proxy_server) if application.use_proxy else None
        except DeodarError as error:
            context, problem = None, str(error)
        return ConnectionSettings(
            servers=tuple((server.address, server.port) for server in task.endpoints),
            connection_timeout=task.connection_timeout,
            request_timeout=task.request_timeout,
            synchronization_period=task.synchronization_period * 60.0,
            maximum_delay=task.event_transfer_settings.maximum_data_transfer_time,
            send=task.enable_telemetry,
            proxy=proxy,
            shows_certificate=task.use_client_pinned_certificate,
            context=context,
            context_problem=problem,
        )
