"""What the tests of the sensors share: a real sensor, and waiting for its records."""

from __future__ import annotations

import os
import re
import resource
import time
import uuid
from typing import TYPE_CHECKING, Protocol

import pytest

from deodar.agent.sensors.bpf import BpfSensor, check_host
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.parts import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deodar.agent.sensors.base import Record, Sensor

PATIENCE = float(os.environ.get("DEODAR_TEST_PATIENCE", "1"))
"""How many times the usual time is waited for records; more where the processor is emulated."""

OLDEST = (5, 17)
"""The first kernel that the BPF programs are for."""
TOO_OLD = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) < OLDEST

needs_programs = pytest.mark.skipif(TOO_OLD, reason="too old a kernel for the BPF programs")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    yield from refused_by_an_old_kernel()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    yield from refused_by_an_old_kernel()


def refused_by_an_old_kernel() -> Iterator[None]:
    """Skip what needs the BPF programs on a kernel that they are not for."""
    try:
        yield
    except SensorUnavailable as error:
        if TOO_OLD:
            pytest.skip(f"too old a kernel: {error}")
        raise


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root, to watch the real kernel"))


class Collect(Protocol):
    def __call__(
        self, sensor: Sensor, enough: Callable[[list[Record]], object], seconds: float = 10.0
    ) -> list[Record]: ...


@pytest.fixture
def mark() -> str:
    """A text that only this test's processes carry."""
    return f"deodar-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def collect() -> Collect:
    """Read from a sensor until there is enough; the records so far if the time is over."""

    def read_until(
        sensor: Sensor, enough: Callable[[list[Record]], object], seconds: float = 10.0
    ) -> list[Record]:
        records: list[Record] = []
        deadline = time.monotonic() + seconds * PATIENCE
        while not enough(records) and time.monotonic() < deadline:
            records += sensor.read(0.2)
        return records

    return read_until


@pytest.fixture
def bpf() -> Iterator[BpfSensor]:
    """An open BPF sensor, of the core part alone, that also reports this process's sockets."""
    try:
        check_host()
    except SensorUnavailable as error:
        pytest.skip(str(error))
    sensor = BpfSensor(own_pid=0, parts=PARTS[:1])
    sensor.open()
    yield sensor
    sensor.close()


def waits() -> int:
    """Return how often this thread has gone to sleep so far.

    It tells better than the processor's time whether a thread is quiet: some virtual machines
    charge milliseconds for a wake-up alone.
    """
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
