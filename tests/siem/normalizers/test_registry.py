from __future__ import annotations

import pytest

from deodar.siem.normalizers.errors import NormalizerError
from deodar.siem.normalizers.registry import names, open_normalizer


def test_every_normalizer_opens_and_takes_what_is_no_event_of_its_own():
    assert {"kedr", "raw", "deodar-json"} <= set(names())
    for name in names():
        outcome = open_normalizer(name).run([b'{"EventType":"process"}', b"{"])
        assert len(outcome.rows) + len(outcome.dead) == 2


def test_an_unknown_one_is_told_with_those_that_exist():
    with pytest.raises(NormalizerError, match="there is no normalizer x"):
        open_normalizer("x")
