from __future__ import annotations

import json
import subprocess
import sys

from .conftest import deodar


def test_a_server_that_is_not_running_is_backed_up_and_restored(installation, tmp_path):
    folder = installation.directory.path
    (tmp_path / "events").write_text('{"EventType":"process"}\n')
    deodar("import", tmp_path / "events", "--dir", folder)
    made = json.loads(deodar("backup", tmp_path / "b.tar", "--keys", "--dir", folder, "--json"))
    assert made["events"] == made["last_seq"] == 1
    restored = json.loads(deodar("restore", tmp_path / "b.tar", tmp_path / "new", "--json"))
    assert restored["events"] == 1
    assert restored["put_aside"] == ""
    text = deodar("restore", tmp_path / "b.tar", tmp_path / "new", "--replace")
    assert "The folder that was there is now" in text
    assert len(list(tmp_path.glob("new.before-*/edr.toml"))) == 1


def test_people_are_told_that_the_keys_are_apart(installation, tmp_path):
    text = deodar("backup", tmp_path / "b.tar", "--dir", installation.directory.path)
    assert "0 events up to 0" in text
    assert "no private keys" in text


def test_an_error_is_one_line(tmp_path):
    command = [sys.executable, "-m", "deodar", "edr", "restore"]
    command += [str(tmp_path / "none"), str(tmp_path / "new")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
