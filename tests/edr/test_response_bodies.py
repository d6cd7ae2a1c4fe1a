from __future__ import annotations

import pytest

from deodar.edr import response_bodies as bodies
from deodar.edr.errors import BadRequest
from deodar.edr.tasking.states import DesiredState
from deodar.response.isolation import ISOLATION, PREVENTION


def wanted(settings: dict[str, object] | None, *, active: bool = True) -> DesiredState:
    return DesiredState("a", ISOLATION, 1, settings, active, "me", 5, 0)


def test_a_task_is_read_with_both_spellings_of_its_schedule():
    for name in ("schedule", "shedule"):
        body = {"task": {name: {"startNow": True}, "execCommand": "ls", "cmdLineParameters": "-l"}}
        assert bodies.run_process(body) == {
            "command": "ls",
            "arguments": "-l",
            "working_directory": "",
        }


@pytest.mark.parametrize(
    "body",
    [None, [], {}, {"task": []}, {"task": {"execCommand": 7, "schedule": {"startNow": True}}}],
)
def test_what_is_no_task_is_refused(body):
    with pytest.raises(BadRequest):
        bodies.run_process(body)


def test_settings_are_what_the_body_has_of_them():
    assert bodies.settings({"settings": [1]}) == [1]
    for body in (None, [], {}, "settings"):
        with pytest.raises(BadRequest, match='"settings"'):
            bodies.settings(body)


def test_isolation_is_told_with_all_its_fields():
    none = {"excludedRules": [], "autoTurnoffTimeoutInSec": 0}
    assert bodies.state(ISOLATION, None) == {"settings": none, "state": "absent"}
    assert bodies.state(ISOLATION, wanted({})) == {"settings": none, "state": "active"}
    assert bodies.state(ISOLATION, wanted({}, active=False))["state"] == "inactive"
    assert bodies.state(PREVENTION, None) == {"settings": {"objects": []}}
