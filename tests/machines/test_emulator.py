"""The emulator's time limits and end, on a machine that has nothing to boot and is silent."""

from __future__ import annotations

import pytest


def test_silence_ends_at_its_limit(silent):
    with pytest.raises(TimeoutError, match="silent for 1 s"):
        silent.next(1)


def test_machine_that_is_off_ends_the_waiting_for_good(silent):
    silent.stop()
    assert silent.next(20) is None
    assert silent.next(1) is None
    with pytest.raises(AssertionError, match="no 'boot' from the guest"):
        silent.seen("boot", 5)
