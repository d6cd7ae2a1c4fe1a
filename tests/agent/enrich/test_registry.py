from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from deodar.agent.enrich import registry
from deodar.agent.enrich.registry import CONVERTERS, TYPES, converts, event_of, follow
from deodar.agent.sensors.base import Act, Exec, ProcessKey

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context

NOW = 1_800_000_000_123_456_789


@dataclass(slots=True)
class Sneeze(Act):
    loudness: int = 3


@pytest.fixture
def sneezes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "TYPES", dict(TYPES))
    monkeypatch.setattr(registry, "CONVERTERS", dict(CONVERTERS))

    @converts(Sneeze, "sneeze")
    def sneeze(context: Context, record: Sneeze) -> dict[str, object]:
        """Somebody sneezed."""
        return {"Loudness": record.loudness, "Reason": "", "Host": None}


@pytest.mark.usefixtures("sneezes")
def test_an_event_has_the_common_fields_its_type_and_what_is_known(context: Context) -> None:
    event = event_of(context, Sneeze(NOW, ProcessKey(7, 9)))
    assert event["EventType"] == "sneeze"
    assert event["Loudness"] == 3
    assert event["Timestamp"] == NOW // 1000
    assert event["HostName"] == "host-1"
    assert "Reason" not in event
    assert "Host" not in event


def test_a_kind_that_nobody_entered_is_an_error(context: Context) -> None:
    with pytest.raises(KeyError):
        event_of(context, Sneeze(NOW, ProcessKey(7, 9)))


def test_a_process_is_followed_without_an_event(context: Context) -> None:
    key = ProcessKey(4_000_000, 90_000_000)
    follow(context, Exec(NOW, key, ProcessKey(1, 0), [b"x"], exe=b"/bin/x"))
    process = context.processes.get(key)
    assert process is not None
    assert process.image.exe == "/bin/x"
