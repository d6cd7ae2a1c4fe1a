"""Sensors of the core and one other part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.agent.sensors.bpf import BpfSensor, check_host
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.parts.calls import CALLS
from deodar.agent.sensors.parts.core import CORE
from deodar.agent.sensors.parts.files import FILES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.agent.sensors.parts import Part


def opened(part: Part) -> Iterator[BpfSensor]:
    try:
        check_host()
    except SensorUnavailable as error:
        pytest.skip(str(error))
    sensor = BpfSensor(own_pid=0, parts=(CORE, part))
    sensor.open()
    assert sensor.refused == []
    yield sensor
    sensor.close()


@pytest.fixture
def calls() -> Iterator[BpfSensor]:
    """An open sensor of the parts `core` and `calls`, that also reports this process."""
    yield from opened(CALLS)


@pytest.fixture
def files() -> Iterator[BpfSensor]:
    """An open sensor of the parts `core` and `files`, that also reports this process."""
    yield from opened(FILES)
