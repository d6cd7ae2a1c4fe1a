from __future__ import annotations

import re

import pytest

from deodar.agent.journal.event_types import EventType
from deodar.agent.journal.query import parse
from deodar.agent.journal.record import LEVELS, Record


def test_a_type_is_the_text_that_records_carry() -> None:
    assert EventType.TASK_STATE_CHANGED == "TaskStateChanged"
    assert str(EventType.TASK_STATE_CHANGED) == "TaskStateChanged"
    assert EventType("ServerConnected") is EventType.SERVER_CONNECTED
    with pytest.raises(ValueError, match="NoSuchType"):
        EventType("NoSuchType")


def test_each_type_says_what_it_means_and_how_much_it_matters() -> None:
    assert len({kind.meaning for kind in EventType}) == len(EventType)
    for kind in EventType:
        assert len(kind.meaning) > 20
        assert kind.level in LEVELS
        assert re.fullmatch(r"[A-Z][A-Za-z]+", kind.value)


@pytest.mark.parametrize("kind", list(EventType))
def test_each_type_and_detail_can_be_asked_for(kind: EventType) -> None:
    record = Record(event_id=1, event_type=kind, date=0, details=dict.fromkeys(kind.details, "x"))
    conditions = [f"EventType == '{kind}'", *(f"{name} == 'x'" for name in kind.details)]
    assert parse(" and ".join(conditions)).matches(record)
