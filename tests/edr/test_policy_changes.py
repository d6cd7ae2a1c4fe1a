from __future__ import annotations

import json

from deodar.edr.policy_changes import differences

PROXY = "user:hidden@192.0.2.3:3128"


def test_only_what_differs_is_told():
    before = {"KATAEDR": {"RequestTimeout": 5, "SynchronizationPeriod": 7}}
    after = {"KATAEDR": {"RequestTimeout": 6, "SynchronizationPeriod": 7}}
    was, now = map(json.loads, differences(before, after))
    assert list(was) == list(now) == ["KATAEDR.RequestTimeout"]
    assert was != now
    assert differences(after, after) == ("", "")


def test_what_came_and_went_is_on_one_side():
    was, now = differences(None, {"KATAEDR": {"RequestTimeout": 6}})
    assert (was, list(json.loads(now))) == ("", ["KATAEDR.RequestTimeout"])
    was, now = differences({"KATAEDR": {"RequestTimeout": 6}}, None)
    assert (list(json.loads(was)), now) == (["KATAEDR.RequestTimeout"], "")


def test_a_password_is_never_told_but_its_change_is():
    before = {"Application": {"ProxyServer": PROXY}}
    after = {"Application": {"ProxyServer": PROXY.replace("hidden", "secret")}}
    was, now = differences(before, after)
    assert "***" in was
    assert "***" in now
    assert "hidden" not in was + now
    assert "secret" not in was + now
