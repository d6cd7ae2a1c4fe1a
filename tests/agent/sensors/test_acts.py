from __future__ import annotations

import dataclasses
import inspect

from deodar.agent.sensors import acts
from deodar.agent.sensors.acts import FileOperation
from deodar.agent.sensors.base import Act
from deodar.events.vocabulary import VOCABULARY


def test_all_say_when_and_who() -> None:
    kinds = [
        kind
        for _, kind in inspect.getmembers(acts, dataclasses.is_dataclass)
        if kind.__module__ == acts.__name__
    ]
    assert len(kinds) > 10
    for kind in kinds:
        assert issubclass(kind, Act)
        assert [field.name for field in dataclasses.fields(kind)][:2] == ["time_ns", "key"]


def test_operations_have_the_numbers_of_the_vocabulary() -> None:
    known = dict(VOCABULARY.fields["FileOperationType"].values)
    reads = 6  # which are not told
    assert {operation.value for operation in FileOperation} == set(known) - {reads}
