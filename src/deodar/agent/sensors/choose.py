"""The registry of sensors, and the choice of the first one that works on this host."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from deodar.agent.sensors.audit import AuditSensor
from deodar.agent.sensors.bpf import BpfSensor
from deodar.agent.sensors.errors import SensorError, SensorUnavailable
from deodar.agent.sensors.proc_connector import ProcSensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deodar.agent.sensors.base import Sensor

REGISTRY: dict[str, Callable[[], Sensor]] = {
    "bpf": BpfSensor,
    "audit": AuditSensor,
    "proc": ProcSensor,
}
ORDER = tuple(REGISTRY)
"""Best first."""


class Refusal(NamedTuple):
    """Why a sensor was not taken."""

    name: str
    reason: str


class Chosen(NamedTuple):
    """The sensor that works, opened, and why better ones, or parts of it, do not."""

    sensor: Sensor
    refused: list[Refusal]


def choose(names: Sequence[str] = ORDER) -> Chosen:
    """Open the first sensor of `names` that works; returns it with the refusals before it.

    Raises SensorUnavailable with every reason when none works, or when a name is not known.
    """
    refused: list[Refusal] = []
    for name in names:
        if name not in REGISTRY:
            known = ", ".join(REGISTRY)
            raise SensorUnavailable(f"there is no sensor {name!r}; there are: {known}")
        sensor = REGISTRY[name]()
        try:
            sensor.open()
        except SensorError as error:
            refused.append(Refusal(name, str(error)))
            continue
        return Chosen(sensor, refused + [Refusal(*part) for part in sensor.refused])
    reasons = "; ".join(f"{name}: {reason}" for name, reason in refused)
    raise SensorUnavailable(f"no sensor works on this host ({reasons})")
