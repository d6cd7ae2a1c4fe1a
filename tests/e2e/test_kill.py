"""Every event exactly once in the SIEM, though each process is killed once on the way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from deodar.demo.stack import Stack, attempts
from deodar.events.builders import EventBuilder

if TYPE_CHECKING:
    from pathlib import Path

EVENTS = 200_000
CHUNK = 20_000


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_event_arrives_exactly_once_though_each_process_is_killed(stack: Stack, tmp_path):
    replay = _write_events(tmp_path / "replay.ndjson")
    url = stack.start_edr()["url"]
    stack.start_core(url)
    stack.start_collector()
    stack.accept_collector()
    stack.start_agent("--sensor", "replay", "--replay", replay)

    for share, name in ((0.1, "agent"), (0.25, "edr"), (0.45, "collector"), (0.65, "core")):
        _wait_for(stack, int(EVENTS * share))
        stack.children[name].kill()
        stack.restart(name)

    _wait_for(stack, EVENTS)
    (row,) = stack.search("SELECT count() AS events, uniqExact(ExternalID) AS ids FROM events")
    assert (int(row["events"]), int(row["ids"])) == (EVENTS, EVENTS)
    assert [child.alive for child in stack.children.values()] == [True] * 4


def _write_events(path: Path) -> Path:
    with path.open("wb") as file:
        for number in range(EVENTS // CHUNK):
            file.write(EventBuilder(number).ndjson(CHUNK))
    return path


def _wait_for(stack: Stack, count: int) -> None:
    seen = 0
    for _ in attempts(180, pause=0.3):
        (row,) = stack.search("SELECT count() AS events FROM events")
        seen = int(row["events"])
        if seen >= count:
            return
    words = {name: child.last_words() for name, child in stack.children.items()}
    pytest.fail(f"{seen} of {count} events arrived; {json.dumps(words, indent=1)}")
