from __future__ import annotations

import contextlib
import json

import pytest
from typer.testing import CliRunner

from deodar.edr.cli import app
from deodar.edr.errors import GroupProblem

from .fleet_world import World


@pytest.fixture
def folder(installation) -> str:
    return str(installation.directory.path)


def run(folder: str, *words: str) -> str:
    command = [*words, "--dir", folder]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def listed(folder: str) -> dict[str, dict[str, object]]:
    lines = run(folder, "group", "list", "--json").splitlines()
    return {row["name"]: row for row in map(json.loads, lines)}


def test_groups_are_made_listed_and_removed(folder):
    made = json.loads(run(folder, "group", "add", "servers", "--note", "racks", "--json"))
    assert (made["name"], made["note"]) == ("servers", "racks")
    assert set(listed(folder)) == {"default", "servers"}
    assert "racks" in run(folder, "group", "list")
    assert "removed" in run(folder, "group", "remove", "servers")
    assert set(listed(folder)) == {"default"}


def test_a_group_with_endpoints_stays(folder, installation):
    run(folder, "group", "add", "servers")
    with contextlib.closing(installation.database()) as database:
        World(database, installation.authority).enroll("a", "servers")
    assert listed(folder)["servers"]["endpoints"] == 1
    with pytest.raises(GroupProblem, match="move"):
        run(folder, "group", "remove", "servers")


def test_a_groups_policy_lies_over_the_default_one(folder, tmp_path):
    run(folder, "group", "add", "servers")
    base, own = tmp_path / "base.json", tmp_path / "own.json"
    base.write_text('{"KATAEDR": {"RequestTimeout": 5, "SynchronizationPeriod": 7}}')
    own.write_text('{"KATAEDR": {"RequestTimeout": 9}}')
    run(folder, "policy", "set", str(base))
    run(folder, "policy", "set", str(own), "--group", "servers")
    shown = json.loads(run(folder, "policy", "show", "--group", "servers", "--json"))
    assert shown["settings"] == {"KATAEDR": {"RequestTimeout": 9}}
    words = ["policy", "show", "--group", "servers", "--effective", "--json"]
    told = json.loads(run(folder, *words))["settings"]
    assert told == {"KATAEDR": {"RequestTimeout": 9, "SynchronizationPeriod": 7}}
    assert listed(folder)["servers"]["policy_version"] == 2
    run(folder, "policy", "clear", "--group", "servers")
    assert listed(folder)["servers"]["policy_version"] == 1
    history = run(folder, "policy", "history", "--group", "servers", "--json").splitlines()
    assert [json.loads(line)["version"] for line in history] == [3, 2]
