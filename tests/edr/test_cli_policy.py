from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from deodar.edr.cli import app
from deodar.edr.errors import EdrError, PolicyProblem
from deodar.edr.policy_file import LARGEST
from deodar.tasks.errors import InvalidSetting

INI = """[KATAEDR]
SynchronizationPeriod=7

[Application]
ProxyServer=user:word@192.0.2.3:3128
"""


@pytest.fixture
def folder(installation) -> str:
    return str(installation.directory.path)


@pytest.fixture
def file(tmp_path) -> str:
    (tmp_path / "policy.ini").write_text(INI)
    return str(tmp_path / "policy.ini")


def run(*words: str, stdin: str | None = None) -> str:
    done = CliRunner().invoke(app, ["policy", *words], input=stdin, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_policy_is_set_shown_and_cleared(folder, file):
    assert "no policy" in run("show", "--dir", folder)
    assert "version 1: KATAEDR.SynchronizationPeriod" in run("set", file, "--dir", folder)
    assert "as before" in run("set", file, "--dir", folder)
    shown = run("show", "--dir", folder)
    assert "Version 1, made 2" in shown
    assert "KATAEDR.SynchronizationPeriod=7" in shown
    assert "agents have no policy" in run("clear", "--dir", folder)
    assert run("show", "--dir", folder, "--json") == ""
    assert "[" not in run("show", "--dir", folder, "--ini")


def test_the_password_is_shown_only_when_asked_for(folder, file):
    run("set", file, "--dir", folder)
    for words in (("show",), ("show", "--ini"), ("show", "--json"), ("history",)):
        assert "word@" not in run(*words, "--dir", folder)
    assert "user:word@" in run("show", "--ini", "--secrets", "--dir", folder)


def test_what_ini_shows_can_be_set_again(folder, file, tmp_path):
    run("set", file, "--dir", folder)
    shown = run("show", "--ini", "--dir", folder)
    changed = shown.replace("SynchronizationPeriod=7", "SynchronizationPeriod=8")
    run("set", "-", "--dir", folder, stdin=changed)
    told = json.loads(run("show", "--json", "--secrets", "--dir", folder))
    assert told["version"] == 2
    assert told["settings"]["KATAEDR"] == {"SynchronizationPeriod": 8}
    assert told["settings"]["Application"]["ProxyServer"] == "user:word@192.0.2.3:3128"


def test_an_earlier_version_can_be_put_into_force_again(folder, file):
    run("set", file, "--dir", folder)
    run("set", "-", "--dir", folder, stdin="[KATAEDR]\nRequestTimeout=3\n")
    earlier = run("show", "--version", "1", "--ini", "--secrets", "--dir", folder)
    run("set", "-", "--dir", folder, stdin=earlier)
    rows = [json.loads(line) for line in run("history", "--json", "--dir", folder).splitlines()]
    assert [row["version"] for row in rows] == [3, 2, 1]
    assert rows[0]["settings"] == rows[2]["settings"]
    with pytest.raises(PolicyProblem):
        run("show", "--version", "9", "--dir", folder)


def test_history_tells_who_when_and_what(folder, file):
    assert "no policy yet" in run("history", "--dir", folder)
    run("set", file, "--dir", folder)
    run("clear", "--dir", folder)
    newest, oldest = run("history", "--dir", folder).splitlines()[1:]
    assert "cleared" in newest
    assert "uid " in oldest
    assert "KATAEDR.SynchronizationPeriod=7" in oldest


def test_history_has_the_newest_first_and_is_a_line_of_json_each(folder, file):
    made = json.loads(run("set", file, "--json", "--dir", folder))
    cleared = json.loads(run("clear", "--json", "--dir", folder))
    assert (made["version"], cleared["version"]) == (1, 2)
    assert made["settings"]["KATAEDR"] == {"SynchronizationPeriod": 7}
    assert cleared["settings"] is None
    rows = [json.loads(line) for line in run("history", "--json", "--dir", folder).splitlines()]
    assert rows == [cleared, made]
    assert "cleared: no policy" in run("show", "--version", "2", "--dir", folder)
    assert "KATAEDR.SynchronizationPeriod=7" in run("show", "--version", "1", "--dir", folder)


def test_what_cannot_be_cleared_or_says_nothing_is_told(folder):
    with pytest.raises(PolicyProblem, match="no policy to clear"):
        run("clear", "--dir", folder)
    with pytest.raises(PolicyProblem, match="deodar edr policy clear"):
        run("set", "-", "--dir", folder, stdin="[KATAEDR]\n")
    assert "no policy yet" in run("history", "--dir", folder)


def test_a_file_that_is_too_large_is_refused(folder):
    with pytest.raises(InvalidSetting):
        run("set", "-", "--dir", folder, stdin=";" * (LARGEST + 1))
    assert "no policy" in run("show", "--dir", folder)


def test_names_without_a_function_are_told(folder):
    words = ["policy", "set", "-", "--dir", folder]
    ini = "[KATAEDR]\nMode=EDRKATA\nRequestTimeout=3\n"
    done = CliRunner().invoke(app, words, input=ini, catch_exceptions=False)
    assert "KATAEDR.Mode" in done.stderr


def test_a_bad_file_ends_with_the_code_for_settings(folder, tmp_path):
    (tmp_path / "bad.ini").write_text("[KATAEDR]\nRequestTimeout=soon\n")
    command = [sys.executable, "-m", "deodar", "edr", "policy", "set", str(tmp_path / "bad.ini")]
    done = subprocess.run([*command, "--dir", folder], capture_output=True, timeout=60)
    assert done.returncode == 2
    assert b"line 2" in done.stderr
    assert b"RequestTimeout" in done.stderr


def test_a_file_that_cannot_be_read_is_told(folder):
    with pytest.raises(EdrError, match="/no/such/file"):
        run("set", "/no/such/file", "--dir", folder)
