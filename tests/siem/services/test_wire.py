from __future__ import annotations

import msgspec
import pytest
from tests.siem.services.conftest import report

from deodar.siem.services.wire import LINES_AT_ONCE, LogLine, Orders, ServiceReport, hash_of


def test_a_report_comes_back_as_it_was_sent():
    sent = report(lines=(LogLine(1, 1.5, "info", "a"),), refused=2, refused_reason="why")
    assert msgspec.json.decode(msgspec.json.encode(sent), type=ServiceReport) == sent


@pytest.mark.parametrize(
    "changes",
    [
        {"boot": "x" * 100},
        {"reason": "x" * 5000},
        {"colour": "red"},
        {"uptime": -1},
        {"lines": [{"number": 1, "time": 0, "level": "", "text": ""}] * (LINES_AT_ONCE + 1)},
        {"measures": {"lost": -1}},
    ],
)
def test_what_is_out_of_bounds_is_refused(changes):
    values = msgspec.to_builtins(report()) | changes
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(values), type=ServiceReport)


def test_a_later_release_may_say_more():
    values = msgspec.to_builtins(report()) | {"mood": "good"}
    assert msgspec.json.decode(msgspec.json.encode(values), type=ServiceReport) == report()
    orders = {"version": 1, "reloads": 0, "restart": False, "debug": False, "disabled": False,
              "log_from": 1, "seconds": 5.0, "more": 1}  # fmt: skip
    assert msgspec.convert(orders, Orders).version == 1


def test_what_is_kept_of_a_secret():
    assert len(hash_of("a")) == 64
    assert hash_of("a") != hash_of("b")
