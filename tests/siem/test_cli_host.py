from __future__ import annotations

import pytest
from tests.siem.test_cli import deodar

ID = "00000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--core", "https://core:7210"), "--core and --id"),
        (("--core", "https://core:7210", "--id", "x"), "no service's id"),
        (("--core", "http://core", "--id", ID), "only https"),
        (("--core", "core", "--id", ID), "not paired yet"),
    ],
)
def test_a_command_that_was_not_copied_whole_is_told(tmp_path, words, told):
    ran = deodar("collector", *words, "--folder", tmp_path / "service", code=2)
    assert told in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1


def test_nothing_is_uninstalled_that_is_not_there(tmp_path):
    words = ("--core", "core", "--id", ID, "--uninstall", "--folder", tmp_path / "service")
    ran = deodar("collector", *words, code=2)
    assert "systemd" in ran.stderr or "root" in ran.stderr
