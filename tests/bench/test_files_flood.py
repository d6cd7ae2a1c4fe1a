"""The benchmark in its short form: that nothing is lost uncounted does not hang on its length."""

from __future__ import annotations

import pytest

from bench.files_flood import SMALL_RING, flood
from deodar.agent.sensors.bpf import check_host
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.file_policy import FilePolicy

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(autouse=True)
def sensor_works() -> None:
    try:
        check_host()
    except SensorUnavailable as error:
        pytest.skip(str(error))


def test_with_the_default_policy_all_is_told_or_counted() -> None:
    account = flood(FilePolicy(), rate=100_000, seconds=2)
    assert account.done > 20_000
    assert account.lost == 0
    assert account.told + account.counted == account.done
    assert account.counted > account.told > 0


def test_what_does_not_fit_into_the_ring_is_counted() -> None:
    account = flood(FilePolicy(events_per_second=0), 100_000, 2, SMALL_RING)
    assert account.lost > 0
    assert account.received + account.lost == account.generated
    assert account.told <= account.done <= account.told + account.lost
