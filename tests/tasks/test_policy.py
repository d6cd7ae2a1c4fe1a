from __future__ import annotations

import re

import msgspec
import pytest

from deodar.tasks.errors import InvalidSetting
from deodar.tasks.policy import Policy, check_policy, from_wire, locked, to_wire

SETTINGS = {
    "KATAEDR": {
        "EnableTelemetry": True,
        "Endpoints": [{"Address": "10.0.0.1", "Port": 443}],
        "EventTransferSettings": {"UseRequestCountLimits": False},
    },
    "Application": {"UseMDR": True},
}


def test_a_policy_goes_over_the_wire() -> None:
    policy = Policy(version=7, name="servers", settings=SETTINGS)
    wire = msgspec.json.decode(msgspec.json.encode(to_wire(policy)))
    assert from_wire(wire) == policy


def test_what_a_policy_names_is_locked() -> None:
    policy = Policy(version=1, settings=SETTINGS)
    assert locked(policy, "KATAEDR") == {
        "EnableTelemetry",
        "Endpoints",
        "EventTransferSettings.UseRequestCountLimits",
    }
    assert locked(policy, "Application") == {"UseMDR"}
    assert locked(policy, "Behavior_Detection") == set()
    assert locked(None, "KATAEDR") == set()


def test_names_and_types_of_a_policy_are_made_proper() -> None:
    given = {"kataedr": {"address": "h", "Mode": "EDRKATA", "requesttimeout": "2"}, "24": {}}
    with pytest.raises(InvalidSetting, match="KATAEDR is given twice"):
        check_policy(given)
    del given["24"]
    assert check_policy(given) == {
        "KATAEDR": {"RequestTimeout": 2, "Endpoints": [{"Address": "h"}]}
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"Nothing": {}}, "p.ini: there is no task 'Nothing'"),
        ({"Update": {}}, "p.ini: Update is a task of KESL that Deodar has not"),
        ({"KATAEDR": {"RequestTimeout": 0}}, "p.ini: KATAEDR.RequestTimeout=0: a number above 0"),
        ({"KATAEDR": {"Endpoints": []}}, "KATAEDR.Endpoints: 1 to 16 sections are expected"),
        ({"KATAEDR": 5}, "p.ini: KATAEDR=5: settings by name are expected"),
        (
            {"Application": {"ProxyServer": "u:***@p:1"}},
            "p.ini: Application.ProxyServer: a policy needs the password itself",
        ),
    ],
)
def test_a_wrong_policy_is_refused(given, told: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(told)):
        check_policy(given, "p.ini")


@pytest.mark.parametrize(
    "wire",
    [
        None,
        [],
        {},
        {"version": 0},
        {"version": "1"},
        {"version": 1, "name": ""},
        {"version": 1, "settings": []},
        {"version": 1, "settings": {"KATAEDR": {"Port": 0}}},
    ],
)
def test_what_is_no_policy_is_refused(wire) -> None:
    with pytest.raises(InvalidSetting, match="policy: "):
        from_wire(wire)
