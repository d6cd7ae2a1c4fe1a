from __future__ import annotations

from deodar.demo import recorded
from deodar.events import codec


def test_every_recorded_event_fits_the_vocabulary():
    lines = recorded.FILE.read_bytes().splitlines()
    assert len(lines) >= 50
    problems = {str(problem) for line in lines for problem in codec.check(codec.decode(line))}
    assert problems == set()


def test_one_recorded_command_bears_the_mark():
    events = map(codec.decode, recorded.FILE.read_bytes().splitlines())
    marked = [
        event
        for event in events
        if event["EventType"] == "process" and recorded.MARK in event["StartupParameters"]
    ]
    assert len(marked) == 1
    assert marked[0]["Sha256"]
