from __future__ import annotations

import msgspec
import pytest

from deodar.response import isolation
from deodar.response.errors import OrderProblem
from deodar.response.isolation import ISOLATION, LONGEST, PREVENTION, SHORTEST, Isolation


def as_json(settings: object) -> object:
    return msgspec.json.decode(msgspec.json.encode(settings))


RULE = {
    "direction": "inbound",
    "protocol": 6,
    "remoteIpv4Address": "192.0.2.7",
    "localPortRange": {"fromPort": 22, "toPort": 22},
}


def test_the_documented_example_is_taken_and_written_alike():
    given = {"excludedRules": [RULE], "autoTurnoffTimeoutInSec": 7200}
    checked = isolation.check(ISOLATION, given)
    assert as_json(checked) == given


def test_a_list_with_one_element_is_taken_too():
    assert isolation.check(ISOLATION, [{}]) == Isolation()
    with pytest.raises(OrderProblem, match="exactly one"):
        isolation.check(ISOLATION, [{}, {}])


def test_an_ipv6_address_keeps_its_name():
    given = {"excludedRules": [{"remoteIpv6Address": "2001:db8::1"}]}
    assert as_json(isolation.check(ISOLATION, given)) == given


@pytest.mark.parametrize("seconds", [SHORTEST, 7200, LONGEST])
def test_the_timer_goes_from_one_to_9999_hours(seconds):
    checked = isolation.check(ISOLATION, {"autoTurnoffTimeoutInSec": seconds})
    assert isinstance(checked, Isolation)
    assert checked.auto_turnoff_timeout_in_sec == seconds


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"autoTurnoffTimeoutInSec": SHORTEST - 1}, "autoTurnoffTimeoutInSec"),
        ({"autoTurnoffTimeoutInSec": LONGEST + 1}, "autoTurnoffTimeoutInSec"),
        ({"autoTurnoffTimeoutInSec": "7200"}, "autoTurnoffTimeoutInSec"),
        ({"excludedRules": [{"direction": "up"}]}, "direction"),
        ({"excludedRules": [{"protocol": 256}]}, "protocol"),
        ({"excludedRules": [{"remoteIpv4Address": "1.2.3"}]}, r"excludedRules\[0\].remoteIpv4"),
        ({"excludedRules": [{"remoteIpv6Address": "1.2.3.4"}]}, r"\[0\].remoteIpv6Address"),
        (
            {"excludedRules": [{"remoteIpv4Address": "1.2.3.4", "remoteIpv6Address": "::1"}]},
            "two rules",
        ),
        ({"excludedRules": [{**RULE, "direction": "both"}]}, "ports need a direction"),
        (
            {"excludedRules": [{**RULE, "localPortRange": {"fromPort": 9, "toPort": 8}}]},
            "fromPort is above toPort",
        ),
        ({"excludedRules": [{**RULE, "localPortRange": {"fromPort": 9}}]}, "toPort"),
        ({"excludedRules": [{}] * 1001}, "excludedRules"),
        (7, "settings"),
    ],
)
def test_wrong_settings_of_isolation_are_named(settings, told):
    with pytest.raises(OrderProblem, match=told):
        isolation.check(ISOLATION, settings)


def test_a_prevention_list_has_one_hash_for_each_object():
    given = {"objects": [{"file": {"sha256": "a" * 64, "name": "x"}}, {"file": {"md5": "B" * 32}}]}
    assert as_json(isolation.check(PREVENTION, given)) == given
    for file in ({}, {"sha256": "a" * 64, "md5": "b" * 32}):
        with pytest.raises(OrderProblem, match=r"objects\[0\].file: give one"):
            isolation.check(PREVENTION, {"objects": [{"file": file}]})
    for file in ({"sha256": "a" * 63}, {"md5": "g" * 32}):
        with pytest.raises(OrderProblem, match="settings"):
            isolation.check(PREVENTION, {"objects": [{"file": file}]})
