"""Requests to the audit system: layouts, and the real kernel's answers."""

from __future__ import annotations

import platform
import struct

import pytest

from deodar.agent.sensors import audit_control as control

CALLS = control.Calls(0xC000003E, 59, 322, 231)


def test_exec_rule_layout():
    rule = control.exec_rule(CALLS)
    assert len(rule) == 1040 + len(control.KEY)
    words = struct.unpack_from("<260I", rule)
    assert words[:3] == (4, 2, 3)
    assert words[3 + 59 // 32] == 1 << 59 % 32
    assert words[3 + 322 // 32] == 1 << 322 % 32
    assert words[67:71] == (11, 104, 210, 0)
    assert words[131:135] == (0xC000003E, 1, len(control.KEY), 0)
    assert words[195:199] == (0x40000000,) * 3 + (0,)
    assert rule.endswith(control.KEY)


def test_exit_rule_does_not_ask_for_success():
    words = struct.unpack_from("<260I", control.exit_rule(CALLS))
    assert words[67:70] == (11, 210, 0)
    assert words[3 + 231 // 32] == 1 << 231 % 32


def test_rule_for_a_range_of_the_first_argument():
    words = struct.unpack_from("<260I", control.call_rule(0xC000003E, (101,), first=(4, 6)))
    assert words[2] == 5
    assert words[67:72] == (11, 104, 200, 200, 210)
    assert words[131:136] == (0xC000003E, 1, 4, 6, len(control.KEY))
    assert words[195:200] == (0x40000000, 0x40000000, 0x60000000, 0x50000000, 0x40000000)


@pytest.mark.root
def test_rule_comes_and_goes():
    calls = control.ARCHITECTURES[platform.machine()]
    before = control.rules()
    rule = control.exit_rule(calls)
    control.add_rule(rule)
    control.add_rule(rule)  # a second time is no error
    try:
        assert rule in [found[: len(rule)] for found in control.rules()]  # padded at the end
    finally:
        control.delete_rule(rule)
    assert control.rules() == before
    with pytest.raises(FileNotFoundError):
        control.delete_rule(rule)


@pytest.mark.root
def test_backlog_limit_can_be_set_and_put_back():
    before = control.status()
    control.set_backlog_limit(before.backlog_limit + 17)
    try:
        assert control.status().backlog_limit == before.backlog_limit + 17
    finally:
        control.set_backlog_limit(before.backlog_limit)
    assert control.status().backlog_limit == before.backlog_limit


@pytest.mark.root
def test_wait_can_be_switched_off_and_put_back():
    before = control.status()
    control.set_backlog_wait(0)
    try:
        assert control.status().backlog_wait == 0
    finally:
        control.set_backlog_wait(before.backlog_wait)
    assert control.status().backlog_wait == before.backlog_wait


def test_keys_are_found_behind_other_texts():
    """A rule as auditctl makes it: -a always,exit -F exe=/bin/x -F path=/etc/y -k one."""
    fields, texts = (112, 105, 11, 210), (b"/bin/x", b"/etc/y", None, b"one")
    values = [7 if text is None else len(text) for text in texts]
    words = [4, 2, 4, *[0] * 64, *fields, *[0] * 60, *values, *[0] * 60, *[0] * 64, 15]
    rule = struct.pack("<260I", *words) + b"/bin/x/etc/yone"
    assert control.keys(rule) == [b"one"]
    assert control.keys(control.exec_rule(CALLS)) == [control.KEY]
