from __future__ import annotations

import pytest

from deodar.kit.errors import SettingsError, StateError
from deodar.siem.collector.home import collector_folder, names, open_home


def test_a_missing_collector_names_those_that_exist(tmp_path):
    for name in ("b", "a"):
        folder = collector_folder(tmp_path, name)
        folder.mkdir(parents=True)
        (folder / "collector.toml").touch()
    assert names(tmp_path) == ["a", "b"]
    assert open_home(tmp_path, "a").path == tmp_path / "collectors" / "a"
    with pytest.raises(StateError, match="a, b"):
        open_home(tmp_path, "c")


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc", ".hidden", "a" * 65, "ä"])
def test_a_name_that_is_no_folders_is_refused(tmp_path, name):
    with pytest.raises(SettingsError):
        open_home(tmp_path, name)
