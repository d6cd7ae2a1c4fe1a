"""The task Behavior_Detection as it runs: the sensor, and the way of its events into the spool."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deodar import __version__
from deodar.agent import exclusions
from deodar.agent.enrich.context import Context
from deodar.agent.gather.registry import gatherers
from deodar.agent.pipeline import Pipeline, PipelinePolicy
from deodar.agent.sensors.base import FollowsFilePolicy
from deodar.agent.sensors.file_policy import FilePolicy
from deodar.agent.sensors.replay import ReplayOptions, ReplaySensor
from deodar.agent.status import RefusedSensor
from deodar.agent.throttle import ThrottleLimits
from deodar.agent.watch.registry import Watchers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deodar.agent.enrich.host import HostFacts
    from deodar.agent.exclusions import Exclusions
    from deodar.agent.loss import LossBook
    from deodar.agent.sensors.base import Sensor
    from deodar.agent.settings import AgentSettings
    from deodar.agent.sightings import Sightings
    from deodar.agent.spool import Spool
    from deodar.agent.tasks.store import SettingsStore
    from deodar.agent.throttle import Notify

STOP_SENSOR = 12.0
"""Seconds for what was seen before the end; with what follows it fits the unit's 30."""


@dataclass(frozen=True)
class Choice:
    """What the command line may change for one run."""

    sensors: tuple[str, ...] = ()
    """Sensors to try, in this order; none for those of the settings."""
    replay: Path | None = None
    rate: float = 0.0
    exit_at_end: bool = False


class Detection:
    """Starts and stops the watching; what is between two starts is kept by nobody."""

    def __init__(
        self,
        settings: AgentSettings,
        tasks: SettingsStore,
        spool: Spool,
        losses: LossBook,
        host: HostFacts,
        server: Callable[[], str],
        choice: Choice,
        notify: Notify | None = None,
        sightings: Sightings | None = None,
    ) -> None:
        """`server` returns the address of the server in use, for the address of this host.

        `notify` hears of the agent's own events: their type and details.
        """
        self._settings = settings
        self._tasks = tasks
        self._spool = spool
        self._losses = losses
        self._host = host
        self._server = server
        self._choice = choice
        self._notify = notify
        self._sightings = sightings
        self._exclusions: tuple[object, Exclusions | None] = (None, None)
        self._lock = threading.Lock()
        self._closed_because = ""
        self.sensor: Sensor | ReplaySensor | None = None
        self.refused: list[RefusedSensor] = []
        self.context: Context | None = None
        self.pipeline: Pipeline | None = None
        self._watchers: Watchers | None = None

    def start(self) -> None:
        """Watch. Raises DeodarError when no sensor works here."""
        sensor = self._open_sensor()
        self.context = Context(
            self._settings,
            self._host,
            version=__version__,
            sensor_tier=sensor.name,
            server=self._server,
        )
        watchers = Watchers(self._settings, self._tasks.directory)
        pipeline = Pipeline(
            sensor,
            self.context,
            self._spool,
            self._losses,
            self._settings,
            self._policy(),
            gatherers=[*gatherers(self.context, self._settings), *watchers.gatherers],
            sightings=self._sightings,
            notify=self._notify,
        )
        if not isinstance(sensor, ReplaySensor):
            self.context.seed()  # the sensor watches already: no process falls between the two
        with self._lock:
            self.sensor, self.pipeline = sensor, pipeline
            self._follow_files()
        pipeline.start()
        if not isinstance(sensor, ReplaySensor):
            watchers.open(pipeline.offer)
            self.refused += [RefusedSensor(*refusal) for refusal in watchers.refused]
            self._watchers = watchers

    def stop(self) -> None:
        """Watch no more; what was seen is stored."""
        with self._lock:
            sensor, pipeline, context = self.sensor, self.pipeline, self.context
            self.sensor = self.pipeline = self.context = None
            watchers, self._watchers = self._watchers, None
        if watchers is not None:
            watchers.close()
        if pipeline is not None:
            pipeline.stop(STOP_SENSOR)
        if context is not None:
            context.close()
        if sensor is not None:
            sensor.close()

    def gate(self, closed_because: str) -> None:
        """Let events into the spool (""), or not, and why."""
        self._closed_because = closed_because
        self.apply()

    def apply(self) -> None:
        """Follow the tasks' settings as they are now."""
        with self._lock:
            if self.pipeline is not None:
                self.pipeline.apply(self._policy())
                self._follow_files()

    def sources(self) -> list[str]:
        """Return what watches now, by the names that the kinds of telemetry know; [] if nothing."""
        with self._lock:
            sensor, watchers = self.sensor, self._watchers
        if sensor is None:
            return []
        hashes = self._settings.hashes
        found = [*sensor.sources, *(watchers.sources if watchers is not None else ())]
        found += ["hashes"] if hashes.enabled else []
        return found + (["hashes/fuzzy"] if hashes.enabled and hashes.fuzzy else [])

    @property
    def spare(self) -> list[str]:
        """The sensors behind the one in use, in the order in which they would be tried."""
        sensor, order = self.sensor, self._order
        if sensor is None or sensor.name not in order:
            return []
        return order[order.index(sensor.name) + 1 :]

    @property
    def failure(self) -> str:
        """Why the watching has come to a halt by itself; "" while it works."""
        pipeline = self.pipeline
        return pipeline.failure if pipeline is not None else ""

    @property
    def has_ended(self) -> bool:
        """Whether a replay has come to its end, and all of it is in the spool."""
        pipeline = self.pipeline
        return pipeline is not None and pipeline.finished.is_set()

    def _policy(self) -> PipelinePolicy:
        kataedr = self._tasks.kataedr
        transfer = kataedr.event_transfer_settings
        closed = self._closed_because
        if not closed and not kataedr.enable_telemetry:
            closed = "the setting EnableTelemetry is No"
        return PipelinePolicy(
            exclusions=self._compiled(),
            throttle=ThrottleLimits(
                transfer.use_request_count_limits,
                transfer.maximum_number_of_events_in_hour,
                transfer.event_limit_exceeded_percentage,
            ),
            send=not closed,
            gate_reason=closed,
            store_delay=min(
                self._settings.transfer.store_delay, transfer.maximum_data_transfer_time
            ),
        )

    def _follow_files(self) -> None:
        """Let the sensor, and what comes behind it, tell the changes of files that are wanted."""
        behavior = self._tasks.behavior
        policy = FilePolicy(
            excluded=tuple(folder.folder_path for folder in behavior.excluded_folders),
            events_per_second=behavior.file_monitoring.events_per_second,
            burst=behavior.file_monitoring.burst,
        )
        if self.context is None or policy == self.context.file_policy:
            return
        sensor: object = self.sensor
        if isinstance(sensor, FollowsFilePolicy):
            sensor.follow(policy)
        self.context.file_policy = policy

    def _compiled(self) -> Exclusions | None:
        """Return the exclusions in force, the same object while their settings stay the same."""
        wanted = (self._tasks.behavior, self._tasks.application.use_mdr)
        if self._exclusions[0] != wanted:
            made = exclusions.compile_exclusions(wanted[0], use_mdr=wanted[1])
            self._exclusions = (wanted, made)
        return self._exclusions[1]

    def _open_sensor(self) -> Sensor | ReplaySensor:
        if self._choice.replay is not None:
            self.refused = []
            return self._open_replay(self._choice.replay)
        # A replay needs nothing of what the kernel's sensors bring along.
        from deodar.agent.sensors.choose import choose  # noqa: PLC0415

        chosen = choose(self._order)
        self.refused = [RefusedSensor(name, reason) for name, reason in chosen.refused]
        return chosen.sensor

    @property
    def _order(self) -> list[str]:
        return list(self._choice.sensors or self._settings.sensor.order)

    def _open_replay(self, file: Path) -> ReplaySensor:
        options = ReplayOptions(
            file,
            rate=self._choice.rate,
            exit_at_end=self._choice.exit_at_end,
            maximum_events=self._settings.transfer.maximum_events,
            maximum_bytes=self._settings.transfer.maximum_bytes,
        )
        sensor = ReplaySensor(options, self._spool.place)
        sensor.open()
        return sensor
