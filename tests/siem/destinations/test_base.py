from __future__ import annotations

import pytest

from deodar.kit.errors import SettingsError
from deodar.siem.destinations.base import Progress, read_file
from deodar.siem.errors import DestinationRefused


def test_a_new_try_goes_on_behind_what_is_delivered():
    progress = Progress()
    progress.begin("b1")
    progress.delivered(10)
    progress.begin("b1")
    assert progress.parts == 1
    progress.delivered(5)
    assert progress.result() == 15
    progress.begin("b2")
    assert (progress.parts, progress.result()) == (0, 0)


def test_what_was_refused_is_told_at_the_end_also_after_a_new_try():
    progress = Progress()
    progress.begin("b1")
    progress.refused(7, "too large")
    progress.begin("b1")
    progress.delivered(5)
    with pytest.raises(DestinationRefused, match="too large") as told:
        progress.result()
    assert told.value.rows == 7


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(SettingsError, match="token"):
        read_file(tmp_path, "token")
