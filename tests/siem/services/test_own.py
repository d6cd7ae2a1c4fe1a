"""The storage's own row, in a core that runs as a process."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator

import pytest
from tests.siem.services.world import World, make_world
from tests.siem.storage.test_service import batch

from deodar.siem.services.own import _DISKS, _QUEUE
from deodar.siem.storage.service import PREFIX


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    made = make_world(tmp_path_factory.mktemp("own"))
    yield made
    made.close()


def wait_for(condition, limit: float = 30.0) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def alerts(world: World) -> set[str]:
    return {alert["name"] for alert in world.row("storage")["alerts"]}


def test_the_storage_of_a_running_core_is_an_active_service(world):
    wait_for(lambda: "storage" in world.rows() and world.rows()["storage"]["status"] == "green")
    row = world.row("storage")
    assert (row["kind"], row["local"]) == ("storage", True)
    assert row["version"]
    assert row["fqdn"]
    assert f":{row['api_port']}" in world.core.url


def test_too_many_searches_are_told_and_are_over(world):
    name = "QPS threshold reached"

    def search_often() -> bool:
        for _ in range(5):
            world.core.search("select ID from events limit 1")
        return name in alerts(world)

    wait_for(search_often)
    wait_for(lambda: name not in alerts(world))
    trail = [json.loads(line) for line in world.run("audit", "--json").splitlines()]
    assert {"service alert", "service alert over"} <= {row["action"] for row in trail}


def test_batches_that_cannot_be_stored_are_told_and_it_is_over(world):
    name = "Failed Insert QPS threshold reached"
    with world.core.client(world.core.collector("127.0.0.1:1")) as client:

        def refuse() -> bool:
            id_ = f"bad-{uuid.uuid4()}"
            assert client.post(PREFIX + id_, content=batch("another")).status_code == 400
            return name in alerts(world)

        wait_for(refuse)
    wait_for(lambda: name not in alerts(world))


def test_a_core_that_was_stopped_shows_red(world):
    world.core.child.stop()
    wait_for(lambda: world.row("storage")["status"] == "red")
    world.core.child.start()
    world.core.child.ready(60)
    wait_for(lambda: world.row("storage")["status"] == "green")


def test_what_is_asked_of_a_cluster_is_understood_by_the_engine(deodar_store_engine):
    assert deodar_store_engine.query(_QUEUE).to_pylist() == [{"n": 0}]
    (disk, *_others) = deodar_store_engine.query(_DISKS).to_pylist()
    assert 0 < disk["free_space"] <= disk["total_space"]
