from __future__ import annotations

import time

import pytest

from deodar.agent import reasons


@pytest.mark.parametrize(
    ("ago", "environment", "reason"),
    [
        (None, {}, reasons.BY_HAND),
        (None, {"INVOCATION_ID": "0123"}, reasons.BY_SERVICE),
        (0.1, {"INVOCATION_ID": "0123"}, reasons.AFTER_KILL),
        (1e9, {}, reasons.AFTER_HOST),
    ],
)
def test_why_it_starts(ago, environment, reason):
    killed = None if ago is None else time.time() - ago
    assert reasons.of_start(killed, environment) == reason
