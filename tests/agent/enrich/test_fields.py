from __future__ import annotations

import os

from deodar.agent.enrich.fields import as_device, loss_fields

NOW = 1_800_000_000_123_456_789


def test_loss_is_told_with_count_place_and_reason() -> None:
    event = loss_fields(12, "bpf", "the ring buffer was full", NOW, NOW + 5_000)
    assert (event["LostCount"], event["LostStage"]) == (12, "bpf")
    assert event["LostReason"] == "the ring buffer was full"
    assert (event["LostFirstTime"], event["LostLastTime"]) == (NOW // 1000, NOW // 1000 + 5)


def test_device_is_told_by_its_two_numbers() -> None:
    assert as_device(os.makedev(8, 1)) == "8:1"
