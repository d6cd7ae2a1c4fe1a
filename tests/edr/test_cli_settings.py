from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from deodar.edr.cli import app
from deodar.kit.errors import SettingsError


@pytest.fixture
def folder(installation) -> str:
    return str(installation.directory.path)


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["settings", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_setting_is_changed_shown_and_reset(folder):
    made = json.loads(run("set", "events_api.rate", "3.5", "--dir", folder, "--json"))
    assert (made["value"], made["file_value"]) == (3.5, 50.0)
    assert run("get", "events_api.rate", "--dir", folder) == "3.5\n"
    assert json.loads(run("get", "events_api.rate", "--dir", folder, "--json")) == made
    assert json.loads(run("reset", "events_api.rate", "--dir", folder, "--json"))["value"] == 50.0


def test_the_list_shows_every_setting_with_the_files_value(folder):
    run("set", "events_api.history", "none", "--dir", folder)
    rows = [json.loads(line) for line in run("list", "--dir", folder, "--json").splitlines()]
    shown = {row["name"]: (row["value"], row["file_value"]) for row in rows}
    assert shown["events_api.history"] == ("none", "all")
    assert {"events_api.max_events", "events_api.window", "external_systems.pin_address"} <= set(
        shown
    )
    assert "events_api.history" in run("list", "--dir", folder)


def test_a_wrong_value_is_told(folder):
    with pytest.raises(SettingsError, match="max_events"):
        run("set", "events_api.max_events", "0", "--dir", folder)
