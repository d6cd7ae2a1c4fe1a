from __future__ import annotations

import pytest

from deodar.kit.errors import SettingsError
from deodar.siem.destinations.base import Progress, bearer, read_file, read_secret
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


def test_a_secret_is_what_is_in_its_file_without_the_space_around_it(tmp_path):
    (tmp_path / "secret").write_bytes(b" geheim\xc3\xa9 \n")
    assert read_secret(tmp_path, "secret") == "geheim\u00e9"
    with pytest.raises(SettingsError, match="secret holds no token"):
        bearer(tmp_path, "secret")
    (tmp_path / "secret").write_text("abc\n")
    assert bearer(tmp_path, "secret") == "Bearer abc"
    (tmp_path / "secret").write_text(" \n")
    with pytest.raises(SettingsError, match="secret is empty"):
        read_secret(tmp_path, "secret")
