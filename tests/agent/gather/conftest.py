"""What tests of gatherers share: the whole way from the real kernel to events, without delivery."""

from __future__ import annotations

import os
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.enrich.context import Context
from deodar.agent.enrich.converters import MODULES
from deodar.agent.enrich.host import HostFacts
from deodar.agent.enrich.registry import TYPES, event_of
from deodar.agent.gather.chain import Gatherers
from deodar.agent.gather.registry import gatherers
from deodar.agent.sensors.bpf import BpfSensor, check_host
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.parts.calls import CALLS
from deodar.agent.sensors.parts.core import CORE
from deodar.agent.settings import AgentSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from deodar.agent.sensors.base import Record

    Event = dict[str, Any]

PATIENCE = float(os.environ.get("DEODAR_TEST_PATIENCE", "1"))
assert MODULES  # to name them enters their events


class Telling:
    """A sensor of the parts `core` and `calls`, and the events that come of it."""

    def __init__(self) -> None:
        settings = AgentSettings(agent_id="agent-1")
        self._context = Context(
            settings,
            HostFacts("host-1", "Linux", "Debian GNU/Linux 12", "6.1.0", "boot-1", "machine-1"),
            version="1.2.3",
            sensor_tier="bpf",
            server=lambda: "127.0.0.1:9443",
        )
        self._gatherers = Gatherers(gatherers(self._context, settings))
        self._sensor = BpfSensor(own_pid=0, parts=(CORE, CALLS))
        self._sensor.open()
        self._events: list[Event] = []

    def events(
        self, event_type: str, enough: Callable[[Event], object], wanted: int = 1
    ) -> list[Event]:
        """Return the events of a type for which `enough` is true, as soon as there are so many.

        Raises AssertionError when there are fewer after 20 s.
        """
        deadline = time.monotonic() + 20 * PATIENCE
        while True:
            found = [e for e in self._events if e["EventType"] == event_type and enough(e)]
            if len(found) >= wanted:
                return found
            assert time.monotonic() < deadline, f"{len(found)} of {wanted} events {event_type}"
            records = self._sensor.read(0.2)
            self._keep(self._gatherers.through(one) for one in records)
            self._keep([self._gatherers.due(time.monotonic())])

    def event(self, event_type: str, enough: Callable[[Event], object]) -> Event:
        """Return the first such event."""
        return self.events(event_type, enough)[0]

    def so_far(self, event_type: str) -> list[Event]:
        """Return the events of a type that came while others were waited for."""
        return [event for event in self._events if event["EventType"] == event_type]

    def forget(self) -> None:
        """Leave out what happened before."""
        while records := self._sensor.read(0):
            self._keep(self._gatherers.through(one) for one in records)
        self._events.clear()

    def close(self) -> None:
        self._sensor.close()

    def _keep(self, batches: Iterable[Sequence[Record]]) -> None:
        made = (one for batch in batches for one in batch if type(one) in TYPES)
        self._events += [event_of(self._context, one) for one in made]


@pytest.fixture(scope="package")
def sensing() -> Iterator[Telling]:
    """What all tests share: to load the programs takes long on a busy or emulated machine."""
    try:
        check_host()
    except SensorUnavailable as error:
        pytest.skip(str(error))
    made = Telling()
    yield made
    made.close()


@pytest.fixture
def telling(sensing: Telling) -> Telling:
    """What the agent tells of this host from now on; of this process, too."""
    sensing.forget()
    return sensing


@pytest.fixture
def mark() -> str:
    """A text that only this test's things carry."""
    return f"m{uuid.uuid4().hex[:12]}"
