"""The seam: every sensor of the registry fits the protocol, keys compare as the text says."""

from __future__ import annotations

import inspect

import pytest

from deodar.agent.sensors.base import UNKNOWN_PROCESS, Exec, ProcessKey, Sensor
from deodar.agent.sensors.choose import REGISTRY


@pytest.mark.parametrize("name", list(REGISTRY))
def test_sensors_fit_the_protocol(name):
    sensor = REGISTRY[name]()
    assert sensor.name == name
    assert sensor.tier
    for method in ("open", "read", "counters", "close"):
        wanted = list(inspect.signature(getattr(Sensor, method)).parameters)[1:]
        assert list(inspect.signature(getattr(sensor, method)).parameters) == wanted


@pytest.mark.parametrize("name", list(REGISTRY))
def test_sensor_that_was_never_opened_is_quiet(name):
    sensor = REGISTRY[name]()
    assert sensor.read(5.0) == []
    assert sensor.counters() == (0, 0, 0)
    sensor.close()


def test_a_record_knows_nothing_by_itself():
    record = Exec(1, ProcessKey(2, 3), UNKNOWN_PROCESS, [])
    assert record.inode is None
    assert record.login_uid is None
    assert record.complete
    with pytest.raises(AttributeError):
        record.colour = "red"
