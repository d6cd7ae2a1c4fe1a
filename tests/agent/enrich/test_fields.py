from __future__ import annotations

import os

from deodar.agent.enrich.containers import Containers
from deodar.agent.enrich.fields import as_device, loss_fields, process_fields
from deodar.agent.enrich.processes import Image, Process
from deodar.agent.sensors.base import ProcessKey

NOW = 1_800_000_000_123_456_789


def test_loss_is_told_with_count_place_and_reason() -> None:
    event = loss_fields(12, "bpf", "the ring buffer was full", NOW, NOW + 5_000)
    assert (event["LostCount"], event["LostStage"]) == (12, "bpf")
    assert event["LostReason"] == "the ring buffer was full"
    assert (event["LostFirstTime"], event["LostLastTime"]) == (NOW // 1000, NOW // 1000 + 5)


def test_device_is_told_by_its_two_numbers() -> None:
    assert as_device(os.makedev(8, 1)) == "8:1"


def test_a_process_in_a_container_is_told_with_both_views_of_it(context, tmp_path) -> None:
    kept = tmp_path / "run/systemd/machines/web"
    kept.parent.mkdir(parents=True)
    kept.write_text("ROOT=/var/lib/machines/web\n")
    context.containers = Containers(tmp_path)
    inside = Process(
        ProcessKey(4711, 10_000_000),
        image=Image("/usr/sbin/nginx", looked_up=True),
        container_id="web",
        container_pid=12,
    )
    fields = process_fields(context, inside)
    assert (fields["SystemPid"], fields["ContainerPid"]) == (4711, 12)
    assert (fields["ContainerId"], fields["ContainerName"]) == ("web", "web")
    assert fields["ContainerImage"] == "/var/lib/machines/web"
    outside = process_fields(context, Process(ProcessKey(1, 10_000_000), image=inside.image))
    assert not outside.get("ContainerName")
    assert outside["ContainerPid"] is None
