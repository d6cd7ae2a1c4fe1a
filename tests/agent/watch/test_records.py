from __future__ import annotations

import dataclasses
import inspect

from deodar.agent.enrich import system_events
from deodar.agent.enrich.registry import TYPES
from deodar.agent.sensors.base import Act
from deodar.agent.watch import records


def test_all_are_acts_of_which_events_are_made() -> None:
    kinds = [
        kind
        for _, kind in inspect.getmembers(records, dataclasses.is_dataclass)
        if kind.__module__ == records.__name__ and not kind.__subclasses__()
    ]
    assert len(kinds) == 4
    for kind in kinds:
        assert issubclass(kind, Act)
        assert TYPES[kind] == system_events.EVENT_TYPE
