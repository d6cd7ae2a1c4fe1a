"""Sensors of the core and one other part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.agent.sensors.bpf import BpfSensor, check_host
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.parts.calls import CALLS
from deodar.agent.sensors.parts.core import CORE

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def calls() -> Iterator[BpfSensor]:
    """An open sensor of the parts `core` and `calls`, that also reports this process."""
    try:
        check_host()
    except SensorUnavailable as error:
        pytest.skip(str(error))
    sensor = BpfSensor(own_pid=0, parts=(CORE, CALLS))
    sensor.open()
    assert sensor.refused == []
    yield sensor
    sensor.close()
