from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from deodar.kit.directory import StateDirectory
from deodar.kit.errors import StateError


def test_a_folder_is_made_for_its_owner_alone(tmp_path):
    made = StateDirectory.create(tmp_path / "a" / "b")
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o700


def test_opening_what_is_not_there_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(StateError, match=r"deodar edr init --dir"):
        StateDirectory.open(tmp_path / "absent", made_by="deodar edr init")


def test_a_secret_is_readable_by_its_owner_alone(tmp_path):
    path = StateDirectory.create(tmp_path).write_secret("key", b"x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path):
    folder = StateDirectory.create(tmp_path)
    folder.write("settings", b"old")
    folder.write("settings", b"new")
    assert folder.read("settings") == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["settings"]


def test_a_write_that_fails_keeps_the_old_content(tmp_path):
    folder = StateDirectory.create(tmp_path)
    folder.write("settings", b"old")
    (tmp_path / f".settings.{os.getpid()}.new").mkdir()
    with pytest.raises((StateError, IsADirectoryError)):
        folder.write("settings", b"new")
    assert folder.read("settings") == b"old"


def test_reading_a_missing_file_says_which(tmp_path):
    with pytest.raises(StateError, match="absent"):
        StateDirectory.create(tmp_path).read("absent")


def test_a_locked_folder_names_the_process_that_holds_it(tmp_path):
    folder = StateDirectory.create(tmp_path)
    probe = (
        "import sys, pathlib\n"
        "from deodar.kit.directory import StateDirectory\n"
        "from deodar.kit.errors import StateError\n"
        "try:\n"
        "    with StateDirectory(pathlib.Path(sys.argv[1])).lock(): print('taken')\n"
        "except StateError as error: print(error)\n"
    )
    command = [sys.executable, "-c", probe, str(tmp_path)]
    with folder.lock():
        refused = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    taken = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert f"in use by process {os.getpid()}" in refused.stdout
    assert taken.stdout.strip() == "taken"
